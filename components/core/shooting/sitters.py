"""The names under which versions of 0.1 import `subjects`."""

from components.core.shooting.subjects import Subject as Sitter
from components.core.shooting.subjects import cut_out, target_pose

__all__ = ["Sitter", "cut_out", "target_pose"]

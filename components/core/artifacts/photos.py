"""A folder of photos: what may lie in it besides pictures."""

from __future__ import annotations

LABELS = "labels.csv"
"""Who is on which photo."""
SYNTHETIC = "synthetic.json"
"""Marks a folder whose people `synthesize` made up."""
TRUTH = "truth/people.json"
"""Of such a folder: what is true of each photo, for tests."""
SYNTHETIC_FORMAT = "photoshoot.synthetic/1"

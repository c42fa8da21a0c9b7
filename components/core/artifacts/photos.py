"""A folder of photos: what may lie in it besides pictures."""

from __future__ import annotations

LABELS = "labels.csv"
"""Who is on which photo."""
SYNTHETIC = "synthetic.json"
"""Marks a folder whose people `synthesize` made up."""
SYNTHETIC_FORMAT = "photoshoot.synthetic/1"

"""A folder of photos: what may lie in it besides pictures."""

from __future__ import annotations

LABELS = "labels.csv"
"""Who is on which photo."""
SYNTHETIC = "synthetic.json"
"""Marks a folder whose people `synthesize` made up."""
TRUTH = "truth/people.json"
"""Of such a folder: what is true of each photo, for tests."""
TRUE_PEOPLE = "truth/people"
"""Of such a folder: RGBA pictures named like the photos, what each should show of the person, where they were asked
for."""
SYNTHETIC_FORMAT = "photoshoot.synthetic/1"

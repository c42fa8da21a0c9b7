"""The steps, in order: a table that can be read without importing KFP."""

STEPS = ("synthesize", "preprocess", "cluster", "train", "evaluate", "register")

STEP_IMAGE = {
    "synthesize": "tools",
    "preprocess": "preprocess",
    "cluster": "tools",
    "train": "train",
    "evaluate": "train",
    "register": "tools",
}

"""Experiments: questions about the method itself, answered on people nobody trained on, written to docs/."""

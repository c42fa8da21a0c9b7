"""On this machine: a run from its settings to its result, and what executes its steps."""

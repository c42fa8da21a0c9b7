"""What decides about a model: the gate's lines."""

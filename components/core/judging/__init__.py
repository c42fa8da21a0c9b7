"""What decides about a model: the gate's lines, and the loss weights that a study found best."""

"""What a step tells the world: its run in MLflow, its events, and the registry of models."""

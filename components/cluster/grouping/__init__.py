"""From face embeddings to groups."""

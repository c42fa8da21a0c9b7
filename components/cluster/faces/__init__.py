"""Who is to be sorted, their faces and embeddings."""

"""Training pairs: batches, augmentation, samples."""

"""A model fitted to one person: a minute on their own photos, kept apart from everything that is trained."""

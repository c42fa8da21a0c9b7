"""Where files lie: folders, gs://, and published weights by name."""

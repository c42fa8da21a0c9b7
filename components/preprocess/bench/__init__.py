"""Speed of preprocessing."""

"""What pairs, which methods, and how they are measured."""

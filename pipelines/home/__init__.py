"""The home folder: where it is, what is in it, and putting it right after a move."""

"""The default run again and again: other people, other kinds of machine."""

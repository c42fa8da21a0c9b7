"""Poses of professional portraits as small files, and their pose maps in anybody's own proportions."""

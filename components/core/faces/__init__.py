"""Faces: where they are, aligned, and the networks that say whose they are."""

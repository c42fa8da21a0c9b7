"""People of a plain photo: pose map, matte and how far to trust them, from landmarks and our own body."""

"""A body fitted to what landmark networks found of a person, and the pose map it makes."""

"""The small tables that fit our body to a detector's pose maps, made of photos with maps."""

"""Pictures and what a picture is of: photos, pose maps, mattes, texture maps."""

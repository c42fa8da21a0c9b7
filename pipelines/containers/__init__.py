"""Container images and engines, and steps run in them on this machine."""

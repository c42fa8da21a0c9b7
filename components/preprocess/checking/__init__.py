"""What leaves a photo out: its quality, and a pose map that is not its own."""

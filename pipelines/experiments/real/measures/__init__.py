"""What is measured of a picture of a real person."""

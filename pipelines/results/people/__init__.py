"""What was understood of people's photos, on a page."""

"""What people and programs read: metrics.json, the page, contact sheets."""

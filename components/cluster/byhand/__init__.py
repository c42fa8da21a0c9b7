"""What a person decided about identities."""

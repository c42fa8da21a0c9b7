"""What is painted: real people, their poses, the rows of the table."""

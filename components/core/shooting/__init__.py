"""New pictures of a person: who sits, and the shots."""

"""New pictures of people: with which model, in which poses."""

"""People cut out of photos: the data set that holds them, whose photos they are, several as one source."""

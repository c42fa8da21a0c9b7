"""Training of the small networks that ship with the package, on people who do not exist."""

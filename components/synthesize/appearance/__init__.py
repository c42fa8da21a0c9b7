"""How somebody looks: face, hair, clothes."""

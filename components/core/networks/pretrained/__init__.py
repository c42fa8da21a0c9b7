"""Networks that ship or are fetched: they embed faces, describe and judge pictures."""

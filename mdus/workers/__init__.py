"""The loops: each turn of a worker is one claim."""

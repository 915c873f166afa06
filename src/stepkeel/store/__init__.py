"""Keeping: the port, and the stores that hold to it. A store compares, appends and claims; it has no rule of its own."""

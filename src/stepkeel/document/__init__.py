"""Data <-> definition. Here: the outline of a definition drawn as a diagram."""

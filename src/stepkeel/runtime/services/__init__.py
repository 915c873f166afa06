"""Small loops around a worker: one file each."""

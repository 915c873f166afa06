"""Use cases: one verb family per file. Reads come from the store alone, never from a worker's memory."""

"""SQLite: one file, several processes, WAL, synchronous=FULL."""

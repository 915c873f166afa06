"""Doing: attempts, commits, claims, leases. Nothing here decides what happens to an instance."""

"""Nouns: frozen records and enums. Nothing here does anything."""

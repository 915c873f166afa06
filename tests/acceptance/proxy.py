"""A store that a test stands in front of: what it does not do otherwise, the store does."""

from __future__ import annotations

from typing import Any


class Proxy:
    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

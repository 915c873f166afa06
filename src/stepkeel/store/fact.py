"""Numbers of a database, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DueRow", "MetricRow"]


@dataclass(frozen=True, slots=True)
class MetricRow:
    definition: str
    version: int
    status: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class DueRow:
    """How many wait for a worker to take them, and since when the first of them does."""

    definition: str
    version: int
    count: int
    since: int

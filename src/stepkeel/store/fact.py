"""Numbers of a database, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DueRow", "MetricRow", "Remark", "Upgrade"]


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


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Versions of the schema before and now, and what was made besides."""

    before: int
    now: int
    made: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """A fact about a database; `advice` says what would be better, where it is not well."""

    name: str
    value: str
    advice: str = ""

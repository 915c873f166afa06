"""Numbers of a database, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["SIZES", "DueRow", "EndedRow", "Facts", "MetricRow", "Remark", "Upgrade"]

# Bounds of how long something took, in microseconds: from a millisecond to 99 days, each 1.41 times the one before.
SIZES = tuple(round(1_000 * 2 ** (n / 2)) for n in range(67))


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
class EndedRow:
    """How many instances ended in a span of time, the `span`-th since it was asked for, by their status and by how long they took:

    `size` of the bounds in `SIZES` at least.
    """

    span: int
    status: str
    size: int
    count: int


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


class Facts(Protocol):
    """A part of the port: numbers over all instances of a tenant (None: of all tenants), those that are archived left out."""

    async def tenants(self, after: str, limit: int) -> list[str]:
        """Whoever has an instance, or an API key, in order of their names, those behind `after`."""
        ...

    async def metrics(self, tenant: str | None) -> list[MetricRow]: ...

    async def due(self, tenant: str | None) -> list[DueRow]:
        """What is due and held by nobody, by definition and version."""
        ...

    async def ended(self, tenant: str | None, since: int, until: int, width: int) -> list[EndedRow]:
        """What ended from `since` on and before `until`, in spans of `width` microseconds; spans without any are left out."""
        ...

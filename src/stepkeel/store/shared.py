"""What the fleet shares besides instances: circuit breakers, and results that are kept for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stepkeel.model.breaker import BreakerRow
from stepkeel.model.cached import CachedRow

__all__ = ["OVER", "SharedStore"]

OVER = 100  # results whose time is over go with one that comes, so many at most


class SharedStore(Protocol):
    """A part of the port; none of it is part of an instance's commit."""

    # -- circuit breakers

    async def breakers(self, names: Sequence[str] = ()) -> Sequence[BreakerRow]:
        """Those of these names that are known, by name; all of them without names."""
        ...

    async def put_breaker(self, row: BreakerRow) -> bool:
        """Write it if its version is the next one of what is stored; False: somebody else was there first."""
        ...

    # -- results of activities, kept for the same input

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        """What is kept there and not over."""
        ...

    async def put_cached(self, row: CachedRow) -> None:
        """Keep it, instead of what was kept there."""
        ...

    async def forget_cached(self, tenant: str, activity: str) -> int:
        """How many were kept of an activity; of every activity of the tenant, where it is empty."""
        ...

"""What the fleet shares besides instances: circuit breakers, results kept for others, API keys; and the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stepkeel.model.act import Act, ActQuery, ActRow, Head
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.cached import CachedRow
from stepkeel.model.key import KeyRow

__all__ = ["OVER", "SharedStore"]

OVER = 100  # results whose time is over go with one that comes, so many at most


class SharedStore(Protocol):
    """A part of the port; none of it is part of an instance's commit.

    An `act` is appended to the audit log in the same transaction, if that changed anything.
    """

    # -- the audit log

    async def acts(self, query: ActQuery) -> Sequence[ActRow]:
        """Entries, in the order of their numbers, or the other way round."""
        ...

    async def audit_head(self, tenant: str) -> Head:
        """The last entry of a tenant's chain."""
        ...

    # -- circuit breakers

    async def breakers(self, names: Sequence[str] = ()) -> Sequence[BreakerRow]:
        """Those of these names that are known, by name; all of them without names."""
        ...

    async def put_breaker(self, row: BreakerRow, act: Act | None = None) -> bool:
        """Write it if its version is the next one of what is stored; False: somebody else was there first."""
        ...

    # -- results of activities, kept for the same input

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        """What is kept there and not over."""
        ...

    async def put_cached(self, row: CachedRow) -> None:
        """Keep it, instead of what was kept there."""
        ...

    async def forget_cached(self, tenant: str, activity: str, act: Act | None = None) -> int:
        """How many were kept of an activity; of every activity of the tenant, where it is empty."""
        ...

    # -- API keys

    async def key(self, id: str) -> KeyRow | None: ...

    async def keys(self, tenant: str) -> Sequence[KeyRow]:
        """Those of a tenant, `*` for those that reach any; ended ones too, oldest first."""
        ...

    async def add_key(self, row: KeyRow, act: Act | None = None) -> None:
        """Again (an answer was lost) it changes nothing."""
        ...

    async def end_key(self, tenant: str, id: str, at: int, act: Act | None = None) -> None:
        """It ends then, unless it ends before. There is no way back."""
        ...

    async def use_key(self, id: str, at: int) -> None:
        """It was last let in then, unless it was later."""
        ...

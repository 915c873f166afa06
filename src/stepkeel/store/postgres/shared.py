"""Circuit breakers, kept results and API keys on the server."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stepkeel.model.breaker import BreakerRow
from stepkeel.model.cached import CachedRow
from stepkeel.model.key import KeyRow
from stepkeel.store.postgres.connection import Lane
from stepkeel.store.shared import OVER

__all__ = ["SharedTables"]


class SharedTables:
    """A part of the store, which says over what it asks."""

    _work: Lane
    _people: Lane
    _sql: dict[str, str]

    def now(self) -> int:
        raise NotImplementedError

    async def breakers(self, names: Sequence[str] = ()) -> list[BreakerRow]:
        return [BreakerRow(*r) for r in await self._work.fetch(self._sql["breakers"], list(names))]

    async def put_breaker(self, row: BreakerRow) -> bool:
        return bool(await self._work.fetch(self._sql["put_breaker"], *msgspec.structs.astuple(row), again=False))

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        rows = await self._work.fetch(self._sql["cached"], tenant, activity, key, self.now())
        return rows[0][0] if rows else None

    async def put_cached(self, row: CachedRow) -> None:
        await self._work.fetch(self._sql["put_cached"], *msgspec.structs.astuple(row), self.now(), OVER)

    async def forget_cached(self, tenant: str, activity: str) -> int:
        return (await self._work.fetch(self._sql["forget_cached"], tenant, activity))[0][0]

    async def key(self, id: str) -> KeyRow | None:
        rows = await self._work.fetch(self._sql["api_key"], id)  # of every request: not behind somebody's long list
        return KeyRow(*rows[0]) if rows else None

    async def keys(self, tenant: str) -> list[KeyRow]:
        return [KeyRow(*r) for r in await self._people.fetch(self._sql["api_keys"], tenant)]

    async def add_key(self, row: KeyRow) -> None:
        await self._people.fetch(self._sql["add_api_key"], *msgspec.structs.astuple(row))

    async def end_key(self, tenant: str, id: str, at: int) -> None:
        await self._people.fetch(self._sql["end_api_key"], tenant, id, at)

    async def use_key(self, id: str, at: int) -> None:
        await self._work.fetch(self._sql["use_api_key"], id, at)

"""Circuit breakers, kept results and API keys in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from stepkeel.model.breaker import BreakerRow
from stepkeel.model.cached import CachedRow
from stepkeel.model.key import KeyRow
from stepkeel.store.shared import OVER
from stepkeel.store.sqlite.connection import Connection

__all__ = ["SharedTables"]

T = TypeVar("T")


class SharedTables:
    """A part of the store, which says how it writes."""

    _read_from: Connection
    _write_to: Connection
    _sql: Mapping[str, str]

    def now(self) -> int:
        raise NotImplementedError

    async def _write(self, work: Callable[[], T], rows: int = 1) -> T:
        raise NotImplementedError

    async def breakers(self, names: Sequence[str] = ()) -> list[BreakerRow]:
        rows = [BreakerRow(*r) for r in self._read_from.all(self._sql["breakers"])]
        return [row for row in rows if not names or row.name in names]

    async def put_breaker(self, row: BreakerRow) -> bool:
        def put() -> bool:
            self._write_to.db.execute(self._sql["put_breaker"], msgspec.structs.asdict(row))
            return bool(self._write_to.db.changes())

        return await self._write(put)

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        rows = self._read_from.all(self._sql["cached"], (tenant, activity, key, self.now()))
        return rows[0][0] if rows else None

    async def put_cached(self, row: CachedRow) -> None:
        def put() -> None:
            self._write_to.db.execute(self._sql["drop_cached"], (self.now(), OVER))
            self._write_to.db.execute(self._sql["put_cached"], msgspec.structs.asdict(row))

        await self._write(put, OVER)

    async def forget_cached(self, tenant: str, activity: str) -> int:
        def forget() -> int:
            self._write_to.db.execute(self._sql["forget_cached"], {"tenant": tenant, "activity": activity})
            return self._write_to.db.changes()

        return await self._write(forget)

    async def key(self, id: str) -> KeyRow | None:
        rows = self._read_from.all(self._sql["api_key"], (id,))
        return KeyRow(*rows[0]) if rows else None

    async def keys(self, tenant: str) -> list[KeyRow]:
        return [KeyRow(*r) for r in self._read_from.all(self._sql["api_keys"], (tenant,))]

    async def add_key(self, row: KeyRow) -> None:
        await self._run("add_api_key", msgspec.structs.asdict(row))

    async def end_key(self, tenant: str, id: str, at: int) -> None:
        await self._run("end_api_key", {"tenant": tenant, "id": id, "at": at})

    async def use_key(self, id: str, at: int) -> None:
        await self._run("use_api_key", {"id": id, "at": at})

    async def _run(self, name: str, values: Mapping[str, Any]) -> None:
        def put() -> None:
            self._write_to.db.execute(self._sql[name], values)

        await self._write(put)

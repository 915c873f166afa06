"""Circuit breakers, kept results, API keys and the audit log in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from stepkeel.model.act import Act, ActQuery, ActRow, Head
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.cached import CachedRow
from stepkeel.model.key import KeyRow
from stepkeel.store.chain import acts_statement
from stepkeel.store.shared import OVER
from stepkeel.store.sqlite.audit import tell
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

    async def _scan(self, sql: str, values: Any = ()) -> list[Any]:
        raise NotImplementedError

    async def breakers(self, names: Sequence[str] = ()) -> list[BreakerRow]:
        rows = [BreakerRow(*r) for r in self._read_from.all(self._sql["breakers"])]
        return [row for row in rows if not names or row.name in names]

    async def put_breaker(self, row: BreakerRow, act: Act | None = None) -> bool:
        return bool(await self._run("put_breaker", msgspec.structs.asdict(row), act))

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        rows = self._read_from.all(self._sql["cached"], (tenant, activity, key, self.now()))
        return rows[0][0] if rows else None

    async def put_cached(self, row: CachedRow) -> None:
        def put() -> None:
            self._write_to.db.execute(self._sql["drop_cached"], (self.now(), OVER))
            self._write_to.db.execute(self._sql["put_cached"], msgspec.structs.asdict(row))

        await self._write(put, OVER)

    async def forget_cached(self, tenant: str, activity: str, act: Act | None = None) -> int:
        return await self._run("forget_cached", {"tenant": tenant, "activity": activity}, act, counting=True)

    async def key(self, id: str) -> KeyRow | None:
        rows = self._read_from.all(self._sql["api_key"], (id,))
        return KeyRow(*rows[0]) if rows else None

    async def keys(self, tenant: str) -> list[KeyRow]:
        return [KeyRow(*r) for r in self._read_from.all(self._sql["api_keys"], (tenant,))]

    async def add_key(self, row: KeyRow, act: Act | None = None) -> None:
        await self._run("add_api_key", msgspec.structs.asdict(row), act)

    async def end_key(self, tenant: str, id: str, at: int, act: Act | None = None) -> None:
        await self._run("end_api_key", {"tenant": tenant, "id": id, "at": at}, act)

    async def use_key(self, id: str, at: int) -> None:
        await self._run("use_api_key", {"id": id, "at": at})

    async def acts(self, query: ActQuery) -> list[ActRow]:
        sql, values = acts_statement(query, "audit", lambda _: "?")
        rows = await self._scan(sql, values)
        return [ActRow(*r[:8], entry=_bytes(r[8]), digest=_bytes(r[9])) for r in rows]

    async def audit_head(self, tenant: str) -> Head:
        rows = self._read_from.all(self._sql["audit_head"], (tenant,))
        return Head(*rows[0]) if rows else Head()

    async def _run(self, name: str, values: Any, act: Act | None = None, *, counting: bool = False) -> int:
        """How many rows it has changed."""

        def put() -> int:
            self._write_to.db.execute(self._sql[name], values)
            return tell(self._write_to.db, self._sql, act, self._write_to.db.changes(), counting=counting)

        return await self._write(put)


def _bytes(value: Any) -> bytes:
    """Somebody may have put a text where bytes belong, which this file takes: that is told, not stumbled over."""
    return value if isinstance(value, bytes) else str(value).encode()

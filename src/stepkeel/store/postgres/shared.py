"""Circuit breakers, kept results, API keys and the audit log on the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stepkeel.model.act import Act, ActQuery, ActRow, Head
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.cached import CachedRow
from stepkeel.model.key import KeyRow
from stepkeel.store.chain import acts_statement
from stepkeel.store.postgres.audit import tell
from stepkeel.store.postgres.connection import Lane, Server
from stepkeel.store.postgres.query import quoted
from stepkeel.store.postgres.wall import Walled
from stepkeel.store.shared import OVER

__all__ = ["SharedTables"]


class SharedTables:
    """A part of the store, which says over what it asks."""

    _work: Lane | Walled
    _people: Lane | Walled
    _sql: dict[str, str]
    server: Server

    def now(self) -> int:
        raise NotImplementedError

    async def breakers(self, names: Sequence[str] = ()) -> list[BreakerRow]:
        return [BreakerRow(*r) for r in await self._work.fetch(self._sql["breakers"], list(names))]

    async def put_breaker(self, row: BreakerRow, act: Act | None = None) -> bool:
        return bool(await self._told(self._work, "put_breaker", msgspec.structs.astuple(row), act, again=False))

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        rows = await self._work.fetch(self._sql["cached"], tenant, activity, key, self.now())
        return rows[0][0] if rows else None

    async def put_cached(self, row: CachedRow) -> None:
        await self._work.fetch(self._sql["put_cached"], *msgspec.structs.astuple(row), self.now(), OVER)

    async def forget_cached(self, tenant: str, activity: str, act: Act | None = None) -> int:
        return await self._told(self._work, "forget_cached", (tenant, activity), act, counting=True)

    async def key(self, id: str) -> KeyRow | None:
        rows = await self._work.fetch(self._sql["api_key"], id)  # of every request: not behind somebody's long list
        return KeyRow(*rows[0]) if rows else None

    async def keys(self, tenant: str) -> list[KeyRow]:
        return [KeyRow(*r) for r in await self._people.fetch(self._sql["api_keys"], tenant)]

    async def add_key(self, row: KeyRow, act: Act | None = None) -> None:
        await self._told(self._people, "add_api_key", msgspec.structs.astuple(row), act)

    async def end_key(self, tenant: str, id: str, at: int, act: Act | None = None) -> None:
        await self._told(self._people, "end_api_key", (tenant, id, at), act)

    async def use_key(self, id: str, at: int) -> None:
        await self._work.fetch(self._sql["use_api_key"], id, at)

    async def acts(self, query: ActQuery) -> list[ActRow]:
        sql, values = acts_statement(query, f"{quoted(self.server.schema)}.audit", lambda n: f"${n}")
        return [ActRow(*r) for r in await self._people.fetch(sql, *values)]

    async def audit_head(self, tenant: str) -> Head:
        rows = await self._people.fetch(self._sql["audit_head"], tenant)
        return Head(*rows[0]) if rows else Head()

    async def _told(
        self,
        lane: Lane | Walled,
        name: str,
        values: tuple[Any, ...],
        act: Act | None,
        *,
        again: bool = True,
        counting: bool = False,
    ) -> int:
        """How many rows a statement has changed, which answers with them; and what is told of that, in one transaction."""
        if act is None:
            return len(await lane.fetch(self._sql[name], *values, again=again))

        async def work(connection: Any) -> int:
            changes = len(await connection.fetch(self._sql[name], *values))
            return await tell(connection, self._sql, act, changes, counting=counting)

        return await lane.transact(work, again=again)

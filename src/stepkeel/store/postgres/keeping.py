"""Definitions and retention on the server."""

from __future__ import annotations

from typing import Any

from stepkeel.model.act import Act
from stepkeel.model.snapshot import TERMINAL
from stepkeel.store.port import DefinitionRow, Query
from stepkeel.store.postgres.audit import tell
from stepkeel.store.postgres.connection import Server
from stepkeel.store.postgres.query import list_statement
from stepkeel.store.postgres.shared import SharedTables

__all__ = ["Keeping"]


class Keeping(SharedTables):
    """A part of the store."""

    server: Server

    async def definitions(self) -> list[DefinitionRow]:
        return [DefinitionRow(*r) for r in await self._work.fetch(self._sql["definitions"])]

    async def put_definition(self, row: DefinitionRow, act: Act | None = None) -> None:
        values = (row.tenant, row.name, row.version, row.shape, row.code, row.document, row.status)
        await self._told(self._work, "put_definition", values, act)

    async def archive(self, query: Query, act: Act | None = None) -> int:
        sql, values = list_statement(query, self.server.schema)
        lock = "for update" if self.server.portable else "for update skip locked"

        async def work(connection: Any) -> int:
            rows = await connection.fetch(f"{sql} {lock}", *values)
            ids = [r[0] for r in rows if r[5] in TERMINAL]
            await connection.execute(self._sql["archive"], ids)
            return await tell(connection, self._sql, act, len(ids), counting=True)

        return await self._people.transact(work)

    async def purge(self, query: Query, act: Act | None = None) -> int:
        sql, values = list_statement(query, self.server.schema)

        async def work(connection: Any) -> int:
            ids = [r[0] for r in await connection.fetch(sql, *values)]
            count = (await connection.fetch(self._sql["purge_archived" if query.archived else "purge"], ids))[0][0] if ids else 0
            return await tell(connection, self._sql, act, count, counting=True)

        return await self._people.transact(work)

"""Definitions and retention in the file."""

from __future__ import annotations

from stepkeel.model.act import Act
from stepkeel.store.port import DefinitionRow, Query
from stepkeel.store.sqlite.audit import tell
from stepkeel.store.sqlite.query import list_statement
from stepkeel.store.sqlite.shared import SharedTables
from stepkeel.store.sqlite.write import Writer

__all__ = ["Keeping"]


class Keeping(SharedTables):
    """A part of the store."""

    _writer: Writer

    async def definitions(self) -> list[DefinitionRow]:
        return [DefinitionRow(*r) for r in self._read_from.all(self._sql["definitions"])]

    async def put_definition(self, row: DefinitionRow, act: Act | None = None) -> None:
        await self._run("put_definition", (row.tenant, row.name, row.version, row.shape, row.code, row.document, row.status), act)

    async def archive(self, query: Query, act: Act | None = None) -> int:
        sql, values = list_statement(query)

        def work() -> int:
            return tell(self._write_to.db, self._sql, act, self._writer.archive(sql, values), counting=True)

        return await self._write(work, query.limit)

    async def purge(self, query: Query, act: Act | None = None) -> int:
        sql, values = list_statement(query)

        def work() -> int:
            count = self._writer.purge(sql, values, archived=query.archived)
            return tell(self._write_to.db, self._sql, act, count, counting=True)

        return await self._write(work, query.limit)

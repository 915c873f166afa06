"""What a transactional activity on SQLite writes in: the file's write lock is its own until it ends, so it should be short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import apsw

from stepkeel.model.commit import Batch, Commit
from stepkeel.store.sqlite.connection import Connection, translate
from stepkeel.store.sqlite.write import Writer

__all__ = ["SqliteTransaction"]


class SqliteTransaction:
    """`turn` is held from begin to end: in one process they queue for each other rather than for the file."""

    def __init__(self, own: Connection, turn: asyncio.Lock, sql: Mapping[str, str], now: Callable[[], int]) -> None:
        self._own = own
        self._turn = turn
        self._writer = Writer(own.db, sql, now)
        self.connection: Any = own.db

    @staticmethod
    async def begun(path: str, url: str, turn: asyncio.Lock, sql: Mapping[str, str], now: Callable[[], int]) -> SqliteTransaction:
        await turn.acquire()
        try:
            own = Connection(path, url)
        except BaseException:
            turn.release()
            raise
        try:
            # In a thread: another process may be writing, and waiting for it must not stop the loop.
            await asyncio.to_thread(own.db.execute, "begin immediate")
        except BaseException as error:
            own.close()
            turn.release()
            raise (translate(error, url) if isinstance(error, Exception) else error) from None
        return SqliteTransaction(own, turn, sql, now)

    async def check(self) -> None:
        return  # SQLite asks at the commit itself; what it refuses there is rolled back

    async def commit(self, commit: Commit) -> bool:
        try:
            matched = self._writer.apply(Batch(commits=(commit,))).commits[0]
            self.connection.execute("commit" if matched else "rollback")
            return matched
        except Exception as error:
            if self.connection.in_transaction:
                self.connection.execute("rollback")
            raise translate(error, self._own.url) from error
        finally:
            self._end()

    async def rollback(self) -> None:
        try:
            if self.connection.in_transaction:
                self.connection.execute("rollback")
        finally:
            self._end()

    def _end(self) -> None:
        self._own.close()
        self._turn.release()

    def transient(self, error: BaseException) -> bool:
        return isinstance(error, apsw.BusyError | apsw.LockedError)

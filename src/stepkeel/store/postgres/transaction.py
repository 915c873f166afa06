"""What a transactional activity on PostgreSQL writes in: a connection of its own, within a transaction that its step ends."""

from __future__ import annotations

import asyncio
from typing import Any

from stepkeel.model.commit import Batch, Commit
from stepkeel.store.postgres.connection import PLANNING, RACES, Server, connect, translate
from stepkeel.store.postgres.write import Writer

__all__ = ["PostgresTransaction", "Transactions"]

MOST = 10


class Transactions:
    """Connections for transactional activities: at most `MOST` at a time, kept for the next."""

    def __init__(self, server: Server, writer: Writer) -> None:
        self.server = server
        self.writer = writer
        self._room = asyncio.Semaphore(MOST)
        self._idle: list[Any] = []
        self._closed = False

    async def begin(self) -> PostgresTransaction:
        await self._room.acquire()
        connection = None
        try:
            while self._idle and connection is None:
                connection = self._idle.pop()
                if connection.is_closed():
                    connection = None
            connection = connection or await connect(self.server, planning=False)
            await connection.execute("begin isolation level read committed")
        except BaseException as error:
            if connection is not None:
                connection.terminate()
            self._room.release()
            raise (translate(error, self.server) if isinstance(error, Exception) else error) from None
        return PostgresTransaction(self, connection)

    def end(self, connection: Any, *, reusable: bool) -> None:
        if reusable and not self._closed and not connection.is_closed():
            self._idle.append(connection)
        else:
            connection.terminate()
        self._room.release()

    def close(self) -> None:
        """Hang up; one that is still at work does so when it ends."""
        self._closed = True
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()


class PostgresTransaction:
    def __init__(self, owner: Transactions, connection: Any) -> None:
        self._owner = owner
        self.connection: Any = connection

    async def check(self) -> None:
        await self.connection.execute("set constraints all immediate")

    async def commit(self, commit: Commit) -> bool:
        done = False
        try:
            await self.connection.execute("".join(f"set local {s};" for s in PLANNING))
            _, stepped, _, _ = await self._owner.writer.within(self.connection, Batch(commits=(commit,)))
            matched = stepped is None
            await self.connection.execute("commit" if matched else "rollback")
            done = True
            return matched
        except Exception as error:
            raise translate(error, self._owner.server) from error
        finally:
            self._owner.end(self.connection, reusable=done)

    async def rollback(self) -> None:
        done = False
        try:
            if not self.connection.is_closed():
                await self.connection.execute("rollback")
                done = True
        except Exception as error:
            raise translate(error, self._owner.server) from error
        finally:
            self._owner.end(self.connection, reusable=done)

    def transient(self, error: BaseException) -> bool:
        return isinstance(error, RACES)

"""A PostgreSQL of the benchmark's own, with the server's defaults: fsync, synchronous_commit and autovacuum on."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

import asyncpg
from tests.postgres import Server, binaries


class Databases:
    """`fresh` gives the URL of an empty database, `drop` removes it."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def __enter__(self) -> Databases:
        for place in binaries():
            try:
                self._server = Server(place, settings={})
                break
            except OSError as error:
                print(f"{place}: {error}", file=sys.stderr)
        else:
            sys.exit("no PostgreSQL server was found, and none came with the wheel")
        self.version = self._run("show server_version").split()[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.remove()

    def _run(self, sql: str) -> Any:
        async def work() -> Any:
            connection = await asyncpg.connect(self._server.url)
            try:
                return await connection.fetchval(sql)
            finally:
                await connection.close()

        return asyncio.run(work())

    def fresh(self) -> str:
        name = f"bench{next(self._numbers)}"
        self._run(f"create database {name}")
        return f"{self._server.url.rpartition('/')[0]}/{name}"

    def drop(self, url: str) -> None:
        self._run(f"drop database {url.rpartition('/')[2]} with (force)")

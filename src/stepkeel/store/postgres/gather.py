"""Reads of single rows, gathered: while one statement is on its way, the ids asked for meanwhile go into the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["Gather"]

T = TypeVar("T")
MOST = 1_000


class Gather(Generic[T]):
    """Each caller is told what was read after it asked, never before."""

    def __init__(self, read: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]) -> None:
        self._read = read
        self._asked: dict[str, asyncio.Future[T | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, ids: Iterable[str]) -> dict[str, T]:
        loop = asyncio.get_running_loop()
        wanted: dict[str, asyncio.Future[T | None]] = {}
        for i in ids:
            if i not in self._asked:
                self._asked[i] = loop.create_future()
            wanted[i] = self._asked[i]
        if self._task is None and wanted:
            self._task = loop.create_task(self._run())
        found: dict[str, T] = {}
        for i, future in wanted.items():
            value = await asyncio.shield(future)
            if value is not None:
                found[i] = value
        return found

    async def _run(self) -> None:
        try:
            while self._asked:
                asked = {i: self._asked.pop(i) for i in list(self._asked)[:MOST]}
                try:
                    rows = await self._read(list(asked))
                except BaseException as error:
                    for future in asked.values():
                        future.set_exception(error if isinstance(error, Exception) else ConnectionError(str(error)))
                        future.exception()  # told to whoever still waits
                    if not isinstance(error, Exception):
                        raise
                    continue
                for i, future in asked.items():
                    future.set_result(rows.get(i))
        finally:
            self._task = None

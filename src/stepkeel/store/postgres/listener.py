"""News between processes: NOTIFY as a hint, gathered and sent outside the transactions that matter. Losing one costs a poll.

The payload names workers whose residents have something in their inbox; `*` means that work is due for whoever has room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from stepkeel.errors import StepkeelError
from stepkeel.store.postgres.connection import Lane, Server, connect

__all__ = ["Listener", "Teller"]

_log = logging.getLogger("stepkeel.store")
_ANYBODY = "*"
GATHER = 0.004
MOST = 100  # names in a payload; it is bounded by 8,000 bytes


class Teller:
    """Sends at most one notification in `GATHER` seconds."""

    def __init__(self, lane: Lane, sql: str, channel: str) -> None:
        self._lane = lane
        self._sql = sql
        self._channel = channel
        self._names: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def tell(self, worker: str | None) -> None:
        self._names.add(worker or _ANYBODY)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._names:
                names, self._names = self._names, set()
                payload = _ANYBODY if len(names) > MOST else ",".join(sorted(names))
                await self._lane.fetch(self._sql, self._channel, payload)
                await asyncio.sleep(GATHER)
        except StepkeelError as error:
            _log.warning("others were not told: %s", error)
        finally:
            self._task = None

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})


class Listener:
    """A connection of its own that listens; made again when it is lost, and then told as if all had been missed."""

    def __init__(self, server: Server, channel: str, heard: Callable[[str | None], None]) -> None:
        self._server = server
        self._channel = channel
        self._heard = heard
        self._lost = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        pause = 0.1
        while True:
            connection = None
            try:
                connection = await connect(self._server, planning=False)
                self._lost.clear()
                connection.add_termination_listener(self._gone)
                await connection.add_listener(self._channel, self._notified)
                pause = 0.1
                self._heard(None)
                await self._lost.wait()
            except StepkeelError as error:
                _log.warning("not listening: %s", error)
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _gone(self, _connection: Any) -> None:
        self._lost.set()

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        for name in payload.split(","):
            self._heard(None if name == _ANYBODY else name)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

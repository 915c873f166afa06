"""Delivers messages of the outbox to the sinks of this process: soon after their commit, and every so often in any case.

A message is removed when its sink has taken it. One that fails is tried again, after 1 s and then twice as long each time, up to
5 minutes; later ones of the same instance and topic wait for it. A process delivers only the topics it has a sink for.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from stepkeel.errors import BadRequest
from stepkeel.model.message import Message, MessageRow, message_of
from stepkeel.runtime.services.service import Service
from stepkeel.runtime.worker import Worker
from stepkeel.store.outbox import ANY

__all__ = ["Deliverer", "Sink"]

_log = logging.getLogger("stepkeel.outbox")
Sink = Callable[[Message], Awaitable[Any] | Any]
BATCH = 100
HOLD = 60_000_000  # how long a message is ours once it is taken
PATIENCE = 30.0  # how long a sink may take for one
FIRST, LAST = 1_000_000, 300_000_000  # between tries


class Deliverer(Service):
    def __init__(self, worker: Worker, sinks: Mapping[str, Sink]) -> None:
        """Raises BadRequest for a sink that cannot be called."""
        strange = next((t for t, s in sinks.items() if not callable(s)), None)  # pyright: ignore[reportUnnecessaryComparison]
        if strange is not None:
            raise BadRequest(f"the sink of {strange} is {sinks[strange]!r}", remedy="a function that takes a Message")
        super().__init__(worker)
        self.sinks = sinks

    async def round(self) -> float:
        self._worker.emitting.clear()
        await self.sweep()
        return self._worker.settings.poll_max

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._worker.emitting.wait()

    async def sweep(self) -> int:
        """Deliver until none is due. How many were taken."""
        store, count = self._worker.store, 0
        while True:
            rows = await store.take_messages([*self.sinks], store.now() + HOLD, BATCH)
            if not rows:
                return count
            count += len(rows)
            await self._deliver_all(rows)

    async def _deliver_all(self, rows: Sequence[MessageRow]) -> None:
        """Deliver those that were taken. Put back at once: those behind one that failed, and what is left at a shutdown."""
        store, loop = self._worker.store, asyncio.get_running_loop()
        ends = loop.time() + HOLD / 1e6 - PATIENCE  # later they might be another's
        done: list[MessageRow] = []
        failed: list[MessageRow] = []
        try:
            for row in rows:
                before = next((f for f in failed if (f.instance_id, f.topic) == (row.instance_id, row.topic)), None)
                if before is not None:
                    failed.append(replace(row, due_at=before.due_at, error="behind an earlier one"))
                elif loop.time() > ends:
                    failed.append(replace(row, due_at=store.now(), error=""))
                elif error := await self._deliver(row):
                    failed.append(replace(row, due_at=store.now() + min(LAST, FIRST << min(row.tries - 1, 20)), error=error))
                else:
                    done.append(row)
        except asyncio.CancelledError:
            known = {m.seq for m in (*done, *failed)}
            await store.settle_messages(done, [*failed, *(replace(r, due_at=store.now()) for r in rows if r.seq not in known)])
            raise
        await store.settle_messages(done, failed)

    async def _deliver(self, row: MessageRow) -> str:
        """Why it could not be delivered; nothing if it was."""
        sink = self.sinks.get(row.topic) or self.sinks[ANY]
        try:
            async with asyncio.timeout(PATIENCE):
                answer = sink(message_of(row))
                if inspect.isawaitable(answer):
                    await answer
        except Exception as error:
            _log.warning("message %s to %s, try %d: %s: %s", row.id, row.topic, row.tries, type(error).__name__, error)
            return f"{type(error).__name__}: {error}"[:1_000]
        return ""

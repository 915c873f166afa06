"""Buries dead workers and frees what they held, in whatever status it was, in bounded batches. No coordinator."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from stepkeel.errors import Unavailable
from stepkeel.runtime.worker import Worker

__all__ = ["Takeover"]

_log = logging.getLogger("stepkeel.takeover")
BATCH = 500


class Takeover:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._task: asyncio.Task[None] | None = None
        self._untrusted_until = 0

    def start(self) -> None:
        self._task = self._worker.loop.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except Unavailable as error:
                _log.warning("%s", error)
            except Exception:
                _log.exception("a sweep failed; the next one follows")
            await asyncio.sleep(self._worker.settings.lease / 5)

    async def sweep(self) -> int:
        """One round; the number of rows freed. After losing the store it waits one lease before it judges others."""
        worker = self._worker
        now = worker.clock.monotonic()
        if not worker.trusted():
            self._untrusted_until = now + round(worker.settings.lease * 1e6)
            return 0
        if now < self._untrusted_until:
            return 0
        for dead in await worker.store.bury():
            _log.warning("worker %s is dead", dead)
        freed = 0
        while taken := await worker.store.take_over(BATCH):
            freed += len(taken)
            worker.wake()
        return freed

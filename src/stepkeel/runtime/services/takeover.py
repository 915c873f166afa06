"""Buries dead workers and frees what they held, in whatever status it was, in bounded batches. No coordinator."""

from __future__ import annotations

import logging

from stepkeel.runtime.services.service import Service
from stepkeel.runtime.worker import Worker

__all__ = ["Takeover"]

_log = logging.getLogger("stepkeel.takeover")
BATCH = 500


class Takeover(Service):
    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._untrusted_until = 0

    async def round(self) -> float:
        await self.sweep()
        return self._worker.settings.lease / 5

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

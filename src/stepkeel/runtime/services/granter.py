"""Gives free slots of pools to those that wait: as soon as a ticket of this process moved, and every so often in any case.

Any worker does it for all; a slot that was returned elsewhere is given by whoever looks first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from stepkeel.errors import Unavailable
from stepkeel.runtime.worker import Worker

__all__ = ["Granter"]

_log = logging.getLogger("stepkeel.granter")
BATCH = 500


class Granter:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._worker.loop.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        worker = self._worker
        while True:
            worker.granting.clear()
            wait = worker.settings.poll_max
            try:
                next_at = await self.sweep()
                if next_at is not None:
                    wait = min(wait, max(0.001, (next_at - worker.store.now()) / 1e6))
            except Unavailable as error:
                _log.warning("%s", error)
            except Exception:
                _log.exception("granting failed; the next round follows")
            # Not wait_for: up to Python 3.11 it loses a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await worker.granting.wait()

    async def sweep(self) -> int | None:
        """Grant until nothing more can be; when the next slot of a rate is free."""
        worker = self._worker
        while True:
            grants = await worker.store.grant(BATCH)
            for owner in grants.owners:
                worker.granted_to(owner)
            if grants.count < BATCH:
                return grants.next_at

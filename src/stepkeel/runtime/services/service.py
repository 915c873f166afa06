"""The life cycle of what runs beside a worker: a round, a pause, and so on until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from stepkeel.errors import Unavailable
from stepkeel.runtime.worker import Worker

__all__ = ["Service"]

_log = logging.getLogger("stepkeel.service")


class Service:
    """An error ends a round, never the service: it is logged, and the next round follows."""

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

    async def round(self) -> float:
        """Do what is to be done; seconds until the next one."""
        raise NotImplementedError

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _run(self) -> None:
        while True:
            wait = self._worker.settings.poll_max
            try:
                wait = await self.round()
            except Unavailable as error:
                _log.warning("%s: %s", type(self).__name__, error)
            except Exception:
                _log.exception("%s: a round failed; the next one follows", type(self).__name__)
            await self.pause(wait)

"""Keeps a worker's row alive, from a thread and a connection of its own.

It vouches for the event loop: a loop that has not ticked within `stall_limit` is not renewed for, its stack is logged,
and the lease runs out. The trust window counts from *before* a renewal is sent, so it ends before others may take over.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback

from stepkeel.errors import StepkeelError
from stepkeel.runtime.worker import Worker
from stepkeel.store.port import Pulse

__all__ = ["Heartbeat"]

_log = logging.getLogger("stepkeel.heartbeat")


class Heartbeat:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loop = worker.loop
        self._stop = threading.Event()
        self._ticked = worker.clock.monotonic()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="stepkeel-heartbeat", daemon=True)
        self._ticker: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._tick()
        self._thread.start()

    async def stop(self) -> None:
        self._stop.set()
        if self._ticker is not None:
            self._ticker.cancel()
        await asyncio.to_thread(self._thread.join)

    def _tick(self) -> None:
        self._ticked = self._worker.clock.monotonic()
        self._ticker = self._loop.call_later(self._worker.settings.stall_limit / 4, self._tick)

    def _run(self) -> None:
        settings = self._worker.settings
        pulse = None
        try:
            while not self._stop.wait(settings.lease / 3):
                try:
                    pulse = pulse or self._worker.store.pulse()
                    self._beat(pulse)
                except StepkeelError as error:
                    _log.warning("the lease could not be renewed: %s", error)
        finally:
            if pulse is not None:
                pulse.close()

    def _beat(self, pulse: Pulse) -> None:
        worker = self._worker
        sent = worker.clock.monotonic()
        if sent - self._ticked > worker.settings.stall_limit * 1e6:
            frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage]
            stack = "".join(traceback.format_stack(frame)) if frame else ""
            _log.error("the event loop has not ticked for %.1f s, the lease is let go\n%s", (sent - self._ticked) / 1e6, stack)
            return
        if pulse.renew(worker.id, round(worker.settings.lease * 1e6)):
            self._loop.call_soon_threadsafe(worker.renewed, sent)
        elif not self._stop.is_set():
            asyncio.run_coroutine_threadsafe(worker.died(), self._loop).result()

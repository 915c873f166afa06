"""How a worker sleeps between two looks: until its time is over, a hint of this process, or a commit of another one."""

from __future__ import annotations

import asyncio

from stepkeel.store.port import Store

__all__ = ["Nap"]


class Nap:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._woken = False
        self._sleeper: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._version = -1
        self._foreign = False

    def wake(self) -> None:
        """End the sleep, or the next one at once."""
        self._woken = True
        if self._sleeper is not None:
            _end(self._sleeper)

    def wake_within(self, seconds: float) -> None:
        """End the sleep, or the next one, after this long at the latest."""
        if self._alarm is None:
            self._alarm = self._loop.call_later(seconds, self.wake)

    async def sleep(self, span: float, part: float) -> None:
        """Sleep `span` seconds; every `part` of it asks whether another process has written, where the store can tell."""
        end = self._loop.time() + span
        part = span if self._store.version() is None else part
        while (left := end - self._loop.time()) > 0 and not self._woken:
            await self._sleep_part(min(left, part))
            if not self._woken and self.others_wrote():
                break
        self._woken = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _sleep_part(self, seconds: float) -> None:
        sleeper = self._sleeper = self._loop.create_future()
        timer = self._loop.call_later(seconds, _end, sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleeper = None

    def others_wrote(self, *, forget: bool = False) -> bool:
        """Another process has written since this was last forgotten."""
        version = self._store.version()
        if version is not None and version != self._version:
            self._version = version
            self._foreign = True
        found = self._foreign
        if forget:
            self._foreign = False
        return found


def _end(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)

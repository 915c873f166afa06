"""Moves what has ended into the archive, and deletes what has lain there long enough, as the settings say.

Off the hot path: a batch at a time, each a short transaction, with a pause behind it as long as the batch took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stepkeel.model.snapshot import TERMINAL
from stepkeel.runtime.services.service import Service
from stepkeel.store.port import Query

__all__ = ["Retention"]

BATCH = 200
EVERY = 60.0


class Retention(Service):
    def start(self) -> None:
        settings = self._worker.settings
        if settings.archive_after is not None or settings.purge_after is not None:
            super().start()

    async def round(self) -> float:
        await self.sweep()
        return EVERY

    async def sweep(self) -> tuple[int, int]:
        """One round: how many were archived, how many deleted."""
        settings, store = self._worker.settings, self._worker.store
        archived = deleted = 0
        if settings.archive_after is not None:
            archived = await self._all(store.archive, settings.archive_after, in_archive=False)
        if settings.purge_after is not None:
            deleted = await self._all(store.purge, settings.purge_after, in_archive=True)
        return archived, deleted

    async def _all(self, move: Callable[[Query], Awaitable[int]], after: float, *, in_archive: bool) -> int:
        store, loop = self._worker.store, self._worker.loop
        statuses = tuple(sorted(TERMINAL if in_archive else TERMINAL - {"failed"}))
        query = Query(status=statuses, completed_to=store.now() - round(after * 1e6), archived=in_archive, limit=BATCH)
        count = 0
        while True:
            began = loop.time()
            moved = await move(query)
            count += moved
            if not moved:
                return count
            await asyncio.sleep(loop.time() - began)

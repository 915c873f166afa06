"""Gives free slots of pools to those that wait: as soon as a ticket of this process moved, and every so often in any case.

Any worker does it for all; a slot that was returned elsewhere is given by whoever looks first.
"""

from __future__ import annotations

import asyncio
import contextlib

from stepkeel.runtime.services.service import Service

__all__ = ["Granter"]

BATCH = 500


class Granter(Service):
    async def round(self) -> float:
        worker = self._worker
        worker.granting.clear()
        next_at = await self.sweep()
        if next_at is None:
            return worker.settings.poll_max
        return min(worker.settings.poll_max, max(0.001, (next_at - worker.store.now()) / 1e6))

    async def pause(self, seconds: float) -> None:
        # Not wait_for: up to Python 3.11 it loses a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._worker.granting.wait()

    async def sweep(self) -> int | None:
        """Grant until nothing more can be; when the next slot of a rate is free."""
        worker = self._worker
        while True:
            grants = await worker.store.grant(BATCH)
            for owner in sorted(grants.owners, key=str):
                worker.granted_to(owner)
            if grants.count < BATCH:
                return grants.next_at

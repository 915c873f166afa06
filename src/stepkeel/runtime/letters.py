"""What others put into the inboxes of a worker's residents: read when somebody hints at it, and every so often in any case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stepkeel.errors import Unavailable
from stepkeel.model import input as inputs
from stepkeel.runtime.resident import Resident

if TYPE_CHECKING:
    from stepkeel.runtime.worker import Worker

__all__ = ["Letters"]

PAGE = 100


class Letters:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ask_at = 0
        self.hinted: dict[str, None] = {}  # in order of arrival

    def ask(self) -> None:
        """Something has come for one of the residents: ask the store at the next look."""
        self._ask_at = 0

    async def look(self, foreign: bool) -> bool:
        """Read what was hinted at and, when others have written or it is time, what the store knows of. True: there was some."""
        worker = self._worker
        hinted, self.hinted = self.hinted, {}
        await self._read(hinted)
        found = bool(hinted)
        if not worker.residents or not (foreign or worker.clock.monotonic() >= self._ask_at):
            return found
        self._ask_at = worker.clock.monotonic() + round(worker.settings.poll_max * 1e6)
        others = await worker.store.news(worker.id)
        news = [i for i, inbox in others.items() if (r := worker.residents.get(i)) is not None and inbox > r.seen]
        await self._read(news)
        return found or bool(news)

    async def _read(self, ids: Iterable[str]) -> None:
        told: list[Resident] = []
        for instance_id in ids:
            resident = self._worker.residents.get(instance_id)
            if resident is not None and resident.releasing:
                self.hinted[instance_id] = None  # its parking is under way: claim it again as soon as that is durable
            elif resident is not None:
                told.append(resident)
        try:
            await self.load(told)
        except Unavailable:
            self.hinted |= dict.fromkeys(r.id for r in told)
            raise
        finally:
            for resident in told:  # of what was read before an error, too: the store will not speak of it again
                resident.feed(inputs.SignalArrived())

    async def load(self, residents: Iterable[Resident]) -> None:
        """Give each what is pending in its inbox, page by page, all of them with one question."""
        left = {r.id: r for r in residents}
        while left:
            pages = await self._worker.store.inbox({i: r.loaded for i, r in left.items()}, PAGE)
            for instance_id, (inbox, rows) in pages.items():
                # Only when everything up to the counter has been read does the decision take account of it.
                left[instance_id].arrived(inbox if len(rows) < PAGE else 0, rows)
                if len(rows) < PAGE:
                    del left[instance_id]

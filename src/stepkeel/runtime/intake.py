"""What a worker claims: due rows, as many as there is room for, each taken into memory or set aside; and what it gives back.

Requests and grants that lie in the inbox of what was claimed are read before it goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stepkeel.model import input as inputs
from stepkeel.model.commit import Row
from stepkeel.model.snapshot import UNREADABLE, read_snapshot
from stepkeel.runtime.aside import set_aside
from stepkeel.runtime.resident import Resident
from stepkeel.store.port import Claims, Wanted

if TYPE_CHECKING:
    from stepkeel.runtime.worker import Worker

__all__ = ["Intake"]

_log = logging.getLogger("stepkeel.worker")


class Intake:
    """
    wanted     the definitions it claims
    next_wake  when the next of their rows is due, as last seen
    """

    def __init__(self, worker: Worker, definitions: Iterable[tuple[str, int]]) -> None:
        self._worker = worker
        self.wanted: Sequence[Wanted] = tuple(Wanted(n, v) for n, v in definitions)
        self.next_wake: int | None = None
        self._unread: list[Resident] = []
        self._stray: dict[str, int] = {}

    def more(self, definitions: Iterable[tuple[str, int]]) -> bool:
        """Claim these too, from now on. True: some are new."""
        new = [w for n, v in definitions if (w := Wanted(n, v)) not in self.wanted]
        self.wanted = (*self.wanted, *new)
        return bool(new)

    def due_by(self, now: int) -> bool:
        return self.next_wake is not None and self.next_wake <= now

    def unread(self, resident: Resident) -> bool:
        """Its items and inbox are still to be read."""
        return resident in self._unread

    async def claim(self) -> Claims | None:
        worker, room = self._worker, self._worker.room
        if not self.wanted:
            return None
        claims = await worker.store.claim(worker.id, self.wanted, room.free, room.held, room.spare)
        self.next_wake, room.left = claims.next_wake, claims.left
        return claims

    async def take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            resident = self._adopt(row)
            if resident is not None and (row.inbox or resident.definition.itemized):
                self._unread.append(resident)
            elif resident is not None:
                resident.feed(inputs.Claimed(resident.orphaned))
        await self.read()

    async def read(self) -> None:
        """Requests and grants in the inbox of what was claimed come first: what they began is not lost."""
        worker = self._worker
        for resident in self._unread:
            if resident.definition.itemized and not resident.dropped:
                await resident.given.load(worker.store, resident.snapshot)
        await worker.letters.load(r for r in self._unread if not r.dropped)
        read, self._unread = self._unread, []
        for resident in read:
            resident.feed(inputs.Claimed(resident.orphaned))

    def _adopt(self, row: Row) -> Resident | None:
        """Take a claimed row into memory; None if it had to be set aside."""
        worker = self._worker
        definition = worker.definitions.get((row.definition, row.version))
        if row.fault is not None:
            return self._set_aside(row, row.fault)  # something came for it; only a resume lets it go on
        if row.takeovers > worker.settings.max_takeovers:
            return self._set_aside(row, f"{row.takeovers} workers died or were lost with it before any commit")
        try:
            snapshot = read_snapshot(row.snapshot, row.revision, row.id)
        except UNREADABLE as error:
            return self._set_aside(row, f"its snapshot does not decode: {error}")
        if snapshot.status != row.status:
            return self._set_aside(row, f"its row says {row.status}, its snapshot {snapshot.status}")
        if definition is None:
            return self._set_aside(row, f"{row.definition} version {row.version} is not served here")
        resident = Resident(worker, worker.tiers.apply_or_log(row.tenant, definition), snapshot, row)
        worker.residents[row.id] = resident
        return resident

    def _set_aside(self, row: Row, fault: str) -> None:
        _log.error("instance %s is set aside: %s", row.id, fault, extra={"instance_id": row.id})
        # Its inbox is as good as seen: what lies there unread must not wake it again and again.
        set_aside(self._worker, row.id, row.tenant, row.epoch, row.revision, fault, row.inbox, lambda _: None)

    async def reconcile(self) -> None:
        """Give back rows that name us, that we held at neither of two looks, and that no request of ours is about."""
        worker = self._worker
        owned = await worker.store.owned(worker.id)
        known = worker.residents.keys() | worker.room.starting.keys()
        stray = {i: e for i, e in owned.items() if i not in known}
        twice = {i: e for i, e in stray.items() if self._stray.get(i) == e}
        self._stray = stray
        if twice:
            _log.warning("giving back %d rows whose claim or start was never answered", len(twice))
            await worker.store.give_back(worker.id, twice)

"""What goes into one commit of a resident, and what is to be done once it is durable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stepkeel.engine.family import children_of, letters_of, messages_of, tasks_of
from stepkeel.kernel.hold import tickets_of
from stepkeel.model.commit import Ask, Delivery, HistoryRow, Return, Settled, Start
from stepkeel.model.effect import Effect, Log, RunAttempt, StopAttempt
from stepkeel.model.message import MessageRow
from stepkeel.model.snapshot import Snapshot
from stepkeel.model.task import TaskChange, TaskRow
from stepkeel.store.port import Transaction

if TYPE_CHECKING:
    from stepkeel.runtime.resident import Resident

__all__ = ["PERFORMED", "Group"]

PERFORMED = RunAttempt | StopAttempt | Log  # what is done once the commit is durable; the rest is in it


class Group:
    __slots__ = (
        "asked", "changed", "children", "effects", "emitted", "futures", "history", "moved", "opened", "returned",
        "revision", "sent", "settled", "transaction",
    )  # fmt: skip

    def __init__(self) -> None:
        self.history: list[HistoryRow] = []
        # Most commits have none of these: a list of each for every instance in flight is what the garbage collector looks at.
        self.settled: tuple[Settled, ...] = ()
        self.asked: tuple[Ask, ...] = ()
        self.returned: tuple[Return, ...] = ()
        self.children: tuple[Start, ...] = ()
        self.sent: tuple[Delivery, ...] = ()
        self.opened: tuple[TaskRow, ...] = ()
        self.changed: tuple[TaskChange, ...] = ()
        self.emitted: tuple[MessageRow, ...] = ()
        self.effects: list[PERFORMED] = []
        self.futures: list[asyncio.Future[None]] = []
        self.moved = False
        self.revision = 0
        self.transaction: Transaction | None = None  # what it is committed in, where an activity has written

    def take(self, effects: tuple[Effect, ...], resident: Resident, snapshot: Snapshot) -> None:
        """Effects beyond the commonest: tickets, tasks, and what is done to other instances. Raises UnknownWorkflow."""
        self._tickets(effects, snapshot.at, resident.priority)
        worker = resident.worker
        self.children += children_of(
            effects, snapshot, worker.definitions, resident.priority, resident.correlation_id, worker.now()
        )
        self.sent += letters_of(effects, snapshot)
        opened, changed = tasks_of(effects)
        self.opened += opened
        self.changed += changed
        self.emitted += messages_of(effects, snapshot, worker.now())

    def _tickets(self, effects: tuple[Effect, ...], at: int, priority: int) -> None:
        """Tickets asked for and given back; one that is both, within this commit, never was."""
        asked, returned = tickets_of(effects, at, priority)
        self.asked += asked
        for each in returned:
            same = next((a for a in self.asked if (a.path, a.pool, a.n) == (each.path, each.pool, each.n)), None)
            if same is None:
                self.returned += (each,)
            else:
                self.asked = tuple(a for a in self.asked if a is not same)

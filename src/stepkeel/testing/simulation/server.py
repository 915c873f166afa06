"""The one store of a simulation: the store in memory, a clock that may jump, and an observer that sees each change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepkeel.model.commit import Commit, Delivery, InboxRow, Receipt, Row, Start, TicketRow
from stepkeel.model.message import MessageRow
from stepkeel.model.task import TaskRow
from stepkeel.store.memory import MemoryStore
from stepkeel.store.queue import choose
from stepkeel.testing.immediate import at_once
from stepkeel.testing.simulation.loop import Process, SimulatedLoop

if TYPE_CHECKING:
    from stepkeel.testing.simulation.wire import Wire

__all__ = ["START", "Recorder", "Server"]

START = 1_767_225_600_000_000  # 2026-01-01


class _Clock:
    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.stepped = 0  # sum of the jumps
        self.back = 0  # how much of that was backwards

    def now(self) -> int:
        return START + self._loop.micros + self.stepped

    def monotonic(self) -> int:
        return self._loop.micros

    def step(self, micros: int) -> None:
        self.stepped += micros
        self.back += max(0, -micros)


class Recorder(MemoryStore):
    """Remembers which rows a call has touched."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__("simulation://", clock)
        self.touched: dict[str, None] = {}

    def _put(self, row: Row, **changes: Any) -> Row:
        self.touched[row.id] = None
        return super()._put(row, **changes)

    def _start(self, start: Start) -> str:
        self.touched[start.id] = None
        return super()._start(start)

    def _commit(self, commit: Commit) -> bool:
        applied = super()._commit(commit)
        if applied:
            self.touched[commit.id] = None
        return applied

    def _deliver(self, delivery: Delivery) -> Receipt:
        self.touched[delivery.instance_id] = None
        return super()._deliver(delivery)

    async def renewed(self, worker: str, lease: int) -> bool:
        return self.renew(worker, lease)

    def row(self, instance_id: str) -> Row | None:
        return self._rows.get(instance_id)

    def lease(self, worker: str) -> int | None:
        """Until when this worker's lease lasts; None for a dead one."""
        row = self._workers.get(worker)
        return None if row is None else row.expires_at

    def inbox_row(self, instance_id: str, seq: int) -> InboxRow | None:
        return self._inbox.get(instance_id, {}).get(seq)

    def desk(self) -> list[TaskRow]:
        """All tasks, closed ones too."""
        return list(self._tasks.values())

    def undelivered(self) -> tuple[list[MessageRow], list[int]]:
        """Messages that could be delivered now, and when the others are due."""
        now, left = self.now(), [*self._outbox.values()]
        held = [m for m in left if m.due_at > now]
        behind = {(m.instance_id, m.topic) for m in held}
        return [m for m in left if m.due_at <= now and (m.instance_id, m.topic) not in behind], [m.due_at for m in held]

    def free_slots(self) -> tuple[list[TicketRow], int | None]:
        """Tickets that wait although their pool has a slot for them, and when the next slot of a rate is free."""
        return choose(self._tickets.all(), self.now(), 1_000)

    def entries(self, instance_id: str, after: int) -> list[Any]:
        return self._history.get(instance_id, [])[after:]


class Server:
    """`seen` is told after each call: its name, arguments, result, and the process that asked."""

    def __init__(self, loop: SimulatedLoop, seen: Callable[[str, Any, Any, Process], None]) -> None:
        self.process = loop.process("store")
        self.clock = _Clock(loop)
        self.store = Recorder(self.clock)
        self.wires: list[Wire] = []
        self.out = False
        self.crash: Callable[[Process, str], None] = lambda process, how: None
        self._seen = seen

    @property
    def tolerance(self) -> int:
        """How far a worker's idea of this clock may be ahead of it, in microseconds."""
        return 500_000 + self.clock.back

    def now(self) -> int:
        return self.clock.now()

    def apply(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any], process: Process) -> Any:
        result = at_once(getattr(self.store, name)(*arguments, **named))
        self._seen(name, arguments, result, process)
        self.store.touched.clear()
        return result

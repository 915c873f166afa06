"""The snapshot while a decision is being made: what is read, what is changed, what is said and wanted.

Maps are copied at their first change, so what was not touched is known by identity and costs nothing to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel.path import address, below
from stepkeel.kernel.record import home_of, item_at, seen_at
from stepkeel.model.codec import Codec, split_fields
from stepkeel.model.decision import Changes, Decision
from stepkeel.model.definition import Definition, Fingerprint
from stepkeel.model.effect import ChangeTask, ControlChild, Effect, ReturnPool, SettleSignal, StopAttempt
from stepkeel.model.event import Event
from stepkeel.model.input import Cancel, Signal, Terminate
from stepkeel.model.node import Node
from stepkeel.model.snapshot import (
    NOTHING,
    Assignment,
    Child,
    EndingStage,
    Failure,
    Frame,
    Moving,
    Pause,
    Snapshot,
    Status,
    Ticket,
    flatten,
)
from stepkeel.model.task import TaskChange

__all__ = ["FLYING", "READY", "UNKNOWN", "Draft", "Items", "no_items"]

FLYING = Frame()
READY = Frame(run="ready")
# Stands in where something is decided without the code: nothing of it is asked then.
UNKNOWN = Definition("", 0, Codec(Any), "", {}, {}, Fingerprint("", ""))


Items = Callable[[str, int], list[Any]]  # of the for_each at a path, as listed by a revision


def no_items(path: str, revision: int) -> list[Any]:
    raise LookupError(f"the items of {path}, listed by revision {revision}, were not brought along")


class Draft:
    __slots__ = (
        "before",
        "closed",
        "closing",
        "data",
        "definition",
        "effects",
        "ending",
        "events",
        "failure",
        "fingerprint",
        "fired",
        "given",
        "items",
        "label",
        "moves",
        "moving",
        "now",
        "open",
        "parent",
        "pause",
        "reason",
        "results",
        "revision",
        "seed",
        "signals",
        "state",
        "status",
        "tickets",
        "timers",
        "undo",
        "view_data",
        "view_value",
        "visits",
    )

    def __init__(
        self, definition: Definition, before: Snapshot, now: int, seed: int, signals: tuple[Signal, ...], items: Items = no_items
    ) -> None:
        self.definition = definition
        self.items = items
        self.before = before
        self.now = now if now > before.at else before.at + 1
        self.seed = seed
        self.signals = signals
        self.revision = before.revision + 1
        self.status: Status = before.status
        self.fingerprint = before.fingerprint
        self.label = before.label
        self.data = before.data
        self.state = before.state
        self.visits = before.visits
        self.fired = before.fired
        self.open = before.open
        self.timers = before.timers
        self.closed = before.closed
        self.undo = before.undo
        self.tickets = before.tickets
        self.results = before.results
        self.parent = before.parent
        self.moving: Moving | None = before.moving
        self.given: set[str] | None = None  # paths whose results have come or gone
        self.ending: EndingStage | None = before.ending
        self.pause: Pause | None = before.pause
        self.reason = before.reason
        self.failure: Failure | None = before.failure
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.closing: list[str] = []
        self.moves = 0
        self.view_data: Raw | None = None
        self.view_value: Any = None

    # -- reading

    def record(self, path: str = "") -> Raw:
        """The data that a node sees: the instance's, unless it stands in a branch (record.py)."""
        return seen_at(self.definition.places, self.open, self.data, path) if self.definition.concurrent else self.data

    def view(self, path: str = "") -> Any:
        """The same as the author's type, for functions that only look. Decoded once for each change of it."""
        data = self.record(path)
        if self.view_data is not data:
            self.view_value = self.definition.data.decode(data)
            self.view_data = data
        return self.view_value

    def in_flight(self) -> bool:
        """An attempt is on its way, or was told to stop and has not ended."""
        for frame in self.open.values():
            if frame.run == "flying" or frame.run == "stopping":
                return True
        return False

    def item(self, path: str) -> Any:
        """The item that the innermost for_each around a node has for it, as JSON tells it; None outside of one."""
        found = item_at(self.open, path)
        return None if found is None else self._listed(*found[:2])[found[2]]

    def _listed(self, path: str, revision: int) -> list[Any]:
        if revision != self.revision:
            return self.items(path, revision)
        said = (e for e in reversed(self.events) if e.path == path and e.type in ("items_listed", "items_added"))
        return next(said).detail["items"]

    def node_at(self, path: str) -> Node | None:
        """The node that stands at a path; None for a state, a reaction, an undo."""
        place = self.definition.places.get(address(path))
        return None if place is None else place.node

    # -- changing

    def fail(self, path: str, failure: Failure) -> None:
        """What is open at a path has finally failed: who takes that is judged next (fail.py)."""
        self.put(path, replace(self.open[path], run="failed", error=failure))

    def put(self, path: str, frame: Frame) -> None:
        if self.open is self.before.open:
            self.open = self.open.copy()
        self.open[path] = frame

    def drop(self, path: str) -> Frame | None:
        """Remove a frame, the timers that belong to it, and give back the slots it holds or queues for."""
        if path in self.timers:
            self.drop_timers(path)
        if path in self.tickets:
            self.give_back(path)
        if path not in self.open:
            return None
        if self.open is self.before.open:
            self.open = self.open.copy()
        frame = self.open.pop(path)
        if frame.child is not None and not frame.child.over:
            self.dismiss(path, frame.child, "what began it was closed")
        if frame.tasks:
            self._withdraw(path, frame.tasks, "it is not needed any more")
        return frame

    def put_task(self, path: str, task: str, to: Assignment) -> None:
        """A task of a node has changed."""
        frame = self.open[path]
        self.put(path, replace(frame, tasks={**frame.tasks, task: to}))
        status = "open" if to.said is NOTHING else "completed"
        change = TaskChange(
            task, self.now, status, to.role, to.assignee, to.claimed_by, to.by, bytes(to.said), to.reminded, to.escalated
        )
        self.effects.append(ChangeTask(change))

    def withdraw(self, path: str, reason: str) -> None:
        """Nobody has to do the tasks of a node any more that nobody has done."""
        frame = self.open[path]
        self._withdraw(path, frame.tasks, reason)
        self.put(path, replace(frame, tasks={}))

    def _withdraw(self, path: str, tasks: dict[str, Assignment], reason: str) -> None:
        for task, a in tasks.items():
            if a.said is NOTHING:
                change = TaskChange(task, self.now, "withdrawn", a.role, a.assignee, "", "", b"", a.reminded, a.escalated)
                self.effects.append(ChangeTask(change))
                self.say("task_withdrawn", path, task=task, reason=reason)

    def dismiss(self, path: str, child: Child, reason: str) -> None:
        """Tell a child to end: as this instance does, else cancelled, and what it has done is undone."""
        ending = self.ending
        compensate = ending is None or ending.compensate
        if ending is not None and ending.status == "terminated":
            self.effects.append(ControlChild(path, child.id, "terminate", Terminate("", reason, compensate)))
        else:
            self.effects.append(ControlChild(path, child.id, "cancel", Cancel("", reason, compensate)))
        self.say("child_dropped", path, child=child.id, reason=reason)

    def set_timer(self, path: str, purpose: str, due_at: int, **detail: Any) -> None:
        if self.timers is self.before.timers:
            self.timers = self.timers.copy()
        self.timers[path] = {**self.timers.get(path, {}), purpose: due_at}
        self.say("timer_scheduled", path, purpose=purpose, due_at=due_at, **detail)

    def stop(self, path: str, frame: Frame) -> None:
        """Tell an attempt to stop; its node is done with once the attempt has really ended."""
        if frame.run == "flying":
            self.put(path, replace(frame, run="stopping"))
            self.effects.append(StopAttempt(path, frame.attempt))

    def drop_timers(self, path: str, purpose: str = "") -> None:
        if path not in self.timers:
            return
        if self.timers is self.before.timers:
            self.timers = self.timers.copy()
        left = {k: v for k, v in self.timers.pop(path).items() if purpose and k != purpose}
        if left:
            self.timers[path] = left

    def put_result(self, path: str, result: Raw) -> None:
        if self.results is self.before.results:
            self.results = self.results.copy()
        self.results[path] = result
        self.given = {*(self.given or ()), path}

    def drop_results(self, *outer: str) -> None:
        """Forget what items below these paths have given; without one, all of it."""
        gone = [p for p in self.results if not outer or any(below(p, o) for o in outer)]
        if gone:
            if self.results is self.before.results:
                self.results = self.results.copy()
            for path in gone:
                del self.results[path]
            self.given = {*(self.given or ()), *gone}

    def put_ticket(self, path: str, base: str, ticket: Ticket) -> None:
        if self.tickets is self.before.tickets:
            self.tickets = self.tickets.copy()
        self.tickets[path] = {**self.tickets.get(path, {}), base: ticket}

    def give_back(self, path: str) -> None:
        """Return the slots of a path, and leave the queues it stands in."""
        if path not in self.tickets:
            return
        if self.tickets is self.before.tickets:
            self.tickets = self.tickets.copy()
        for ticket in self.tickets.pop(path).values():
            self.effects.append(ReturnPool(path, ticket.pool, ticket.n))
            self.say("hold_returned", path, pool=ticket.pool)

    def set_data(self, raw: bytes | Raw) -> None:
        self.data = raw if isinstance(raw, Raw) else Raw(raw)

    def set_record(self, path: str, raw: Raw) -> None:
        """Replace the data that a node sees."""
        home = home_of(self.open, path) if self.definition.concurrent else None
        if home is None:
            self.data = raw
            return
        holder, part = home
        frame = self.open[holder]
        assert frame.round is not None
        own = {**frame.round.own, part: raw}
        self.put(holder, replace(frame, round=replace(frame.round, own=own)))

    # -- saying and wanting

    def say(self, event: str, path: str = "", **detail: Any) -> None:
        self.events.append(Event(event, path, detail))

    def settle_signal(self, seq: int, name: str, status: Any, reason: str = "") -> None:
        """Write the fate of a signal down and forget it."""
        detail = {"reason": reason} if reason else {}
        self.say(f"signal_{status}", seq=seq, name=name, **detail)
        self.effects.append(SettleSignal(seq, status, reason))
        self.signals = tuple(s for s in self.signals if s.seq != seq)

    # -- the result

    def decision(self) -> Decision:
        changes = self.changes()
        if not self.events and not changes.set and not changes.unset:
            return Decision(self.before, effects=tuple(self.effects))
        return Decision(self._as_snapshot(), tuple(self.events), changes, tuple(self.effects))

    def changes(self) -> Changes:
        b = self.before
        if not b.revision:
            return Changes(flatten(self._as_snapshot()))
        put: dict[str, Any] = {}
        unset: list[str] = []
        if self.data is not b.data and self.data != b.data:
            _compare("data.", split_fields(b.data), split_fields(self.data), put, unset)
        if self.open is not b.open:
            _compare("open.", b.open, self.open, put, unset)
        if self.timers is not b.timers:
            _compare("timers.", b.timers, self.timers, put, unset)
        if self.visits is not b.visits:
            _compare("visits.", b.visits, self.visits, put, unset)
        if self.fired is not b.fired:
            _compare("fired.", b.fired, self.fired, put, unset)
        if self.closed is not b.closed:
            _compare("closed.", b.closed, self.closed, put, unset)
        if self.tickets is not b.tickets:
            _compare("tickets.", b.tickets, self.tickets, put, unset)
        if self.given:
            self._changed_results(self.given, put, unset)
        if self.undo is not b.undo:
            _compare("undo.", {u.key: u for u in b.undo}, {u.key: u for u in self.undo}, put, unset)
        self._scalars(put, unset)
        return Changes(put, tuple(unset))

    def _changed_results(self, paths: Iterable[str], put: dict[str, Any], unset: list[str]) -> None:
        """Only of those that were touched: there may be thousands of others."""
        old, new = self.before.results, self.results
        touched = sorted(paths)
        _compare("results.", {p: old[p] for p in touched if p in old}, {p: new[p] for p in touched if p in new}, put, unset)

    def _scalars(self, put: dict[str, Any], unset: list[str]) -> None:
        b = self.before
        if self.status != b.status:
            put["status"] = self.status
        if self.state != b.state:
            put["state"] = self.state
        if self.label != b.label:
            put["label"] = self.label
        if self.fingerprint != b.fingerprint:
            put["fingerprint"] = self.fingerprint
        for name in ("ending", "pause", "failure", "reason", "parent", "moving"):
            value = getattr(self, name)
            if value is not getattr(b, name) and value != getattr(b, name):
                if value:
                    put[name] = value
                else:
                    unset.append(name)

    def _as_snapshot(self) -> Snapshot:
        b = self.before
        return Snapshot(
            b.id, b.tenant, b.definition, b.version, self.fingerprint, self.status, self.data,
            self.revision, self.now, self.label, b.schema, self.state, self.visits, self.fired, self.open, self.timers,
            self.closed, self.undo, self.ending, self.pause, self.reason, self.failure, self.tickets, self.results, self.parent,
            self.moving,
        )  # fmt: skip


def _compare(prefix: str, old: dict[str, Any], new: dict[str, Any], put: dict[str, Any], unset: list[str]) -> None:
    for key, value in new.items():
        was = old.get(key)
        if was is not value and was != value:
            put[prefix + key] = value
    for key in old:
        if key not in new:
            unset.append(prefix + key)

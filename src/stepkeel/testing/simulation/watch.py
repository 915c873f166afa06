"""Looks at every row that a call has touched, as it stands then: the invariants, and what only the order of things tells.

| code | holds |
|---|---|
| (those of kernel/invariants.py) | for every row, whenever it was touched |
| fold_matches | the changes of the history, folded as they come, are the snapshot |
| times_increase, future | times strictly increase, revisions have no gap, no entry is from the future |
| left_terminal | what has ended stays ended, unless a failed one is redriven, or put in a state |
| early_timer, timer_of_nothing | a timer fires when it is due, and only one that is set |
| completed_twice | an activity completes once at one path, and so its effects count once |
| undone_out_of_order, undone_twice | what had completed is undone last first, each once |
| attempt_vanished | what was in flight has ended, and history says how |
| two_fates | an inbox row that was processed, ignored, rejected or failed stays so |
| no_fate | at the end, an accepted signal has a fate, or is one that its instance keeps (or is paused, or waits for a slot) |
| ran_before_commit | an attempt starts when the decision that wants it is durable |
| ran_without_lease | no attempt starts on a worker whose lease is over |
| child_forgotten | at the end, a child that has not ended is known to its parent, unless it was redriven |
| task_twice | a task is completed or withdrawn once |
| too_many_slots | no more slots of a pool are held than it has |
| acknowledged_lost | what a caller was told is durable is there (start, signal, request) |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from stepkeel.kernel.invariants import hears, violations_of_row
from stepkeel.kernel.path import address
from stepkeel.kernel.replay import read_changes, read_events
from stepkeel.model.commit import HistoryRow, Row
from stepkeel.model.definition import Definition
from stepkeel.model.event import Event
from stepkeel.model.node import ActivityNode
from stepkeel.model.snapshot import TERMINAL, Snapshot, flatten, read_snapshot
from stepkeel.testing.simulation.server import Server

__all__ = ["Seen", "Violation", "Watch"]

FATES = {"signal_processed": "processed", "signal_ignored": "ignored", "signal_rejected": "rejected", "signal_failed": "failed"}


class Violation(Exception):
    """The first thing that must never be; it ends the run."""

    def __init__(self, code: str, instance_id: str, text: str) -> None:
        super().__init__(f"{code}: {text} ({instance_id})")
        self.code = code
        self.instance_id = instance_id


class Seen:
    """What is known of one instance from its history so far."""

    def __init__(self) -> None:
        self.entries = 0
        self.flat: dict[str, Any] = {}
        self.at = 0
        self.completed: set[str] = set()
        self.to_undo: list[str] = []
        self.undone: set[str] = set()
        self.over: set[str] = set()  # undone, or its undo has failed or was left out
        self.ending = False
        self.undid_at_end = False  # else what was undone were branches that a join did without
        self.fates: dict[int, str] = {}
        self.closed: set[str] = set()  # tasks
        self.actors: set[str] = set()
        self.excused = False  # some undo failed or was left out, and history says so; or it was redriven since


class Watch:
    """`tell` hears each event of history: time, instance, event, by which worker."""

    def __init__(self, definitions: Mapping[tuple[str, int], Definition], tell: Callable[[str, Event, str], None]) -> None:
        self.definitions = definitions
        self.seen: dict[str, Seen] = {}
        self.snapshots: dict[str, tuple[bytes, Snapshot]] = {}
        self._tell = tell

    # -- after each call

    def look(self, server: Server) -> None:
        """Raises Violation."""
        touched = server.store.touched
        for instance_id in touched:
            row = server.store.row(instance_id)
            if row is not None:
                self._look_at(server, row)
        if touched:
            self._pools(server)

    def _look_at(self, server: Server, row: Row) -> None:
        seen = self.seen.get(row.id)
        if seen is None:
            seen = self.seen[row.id] = Seen()
        fresh = server.store.entries(row.id, seen.entries)
        snapshot = self.snapshot(row)
        definition = self.definitions[row.definition, row.version]
        for entry in fresh:
            self._entry(server, row, seen, entry, definition)
        if fresh and row.fault is None:
            self._fold(row, seen, snapshot)
        codes = violations_of_row(row, snapshot, server.now(), hears(definition, snapshot))
        if codes:
            raise Violation(codes[0], row.id, f"{row.status}/{row.state}, owner {row.owner}, wake_at {row.wake_at}")

    def snapshot(self, row: Row) -> Snapshot:
        known = self.snapshots.get(row.id)
        if known is None or known[0] is not row.snapshot:
            known = self.snapshots[row.id] = (row.snapshot, read_snapshot(row.snapshot, row.revision))
        snapshot = known[1]
        return snapshot if snapshot.revision == row.revision else msgspec.structs.replace(snapshot, revision=row.revision)

    def _fold(self, row: Row, seen: Seen, snapshot: Snapshot) -> None:
        kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(flatten(snapshot)))
        if kept != seen.flat:
            keys = sorted(k for k in kept.keys() | seen.flat.keys() if kept.get(k, ...) != seen.flat.get(k, ...))
            raise Violation("fold_matches", row.id, f"history and snapshot differ in {', '.join(keys)}")

    # -- an entry of history

    def _entry(self, server: Server, row: Row, seen: Seen, entry: HistoryRow, definition: Definition) -> None:
        seen.entries += 1
        if entry.revision != seen.entries:
            raise Violation("times_increase", row.id, f"revision {entry.revision} follows {seen.entries - 1}")
        if entry.at <= seen.at:
            raise Violation("times_increase", row.id, f"{entry.at} follows {seen.at}")
        if entry.at > server.now() + server.tolerance:
            raise Violation("future", row.id, f"an entry {(entry.at - server.now()) / 1e6:.3f} s ahead of the database")
        seen.at = entry.at
        seen.actors.add(entry.actor)
        events = read_events(entry.events)
        status = seen.flat.get("status", "created")
        told = {e.type for e in events}
        reopened = told & {"redriven", "state_set"}
        if status in TERMINAL and not (status == "failed" if reopened else "archived" in told):
            raise Violation("left_terminal", row.id, f"{events[0].type} after {status}")
        timers = {k for k in seen.flat if k.startswith("timers.")}
        due = {(k[7:], p): at for k in timers for p, at in seen.flat[k].items()}
        for event in events:
            self._tell(row.id, event, entry.worker)
            self._event(row.id, seen, event, entry, due, definition)
        changes = read_changes(entry.changes)
        self._vanished(row.id, seen, changes.unset, {e.path for e in events}, definition)
        seen.flat.update(changes.set)
        for key in changes.unset:
            seen.flat.pop(key, None)

    def _vanished(self, instance_id: str, seen: Seen, unset: Iterable[str], told: set[str], definition: Definition) -> None:
        """What was in flight does not go without a word: it has ended somehow, and then it is said how."""
        for key in unset:
            path = key[5:] if key.startswith("open.") else ""
            if not path or path in told or seen.flat[key].get("run", "flying") != "flying":
                continue
            place = definition.places.get(address(path))
            if path.startswith("undo/") or (place is not None and isinstance(place.node, ActivityNode)):
                raise Violation(
                    "attempt_vanished", instance_id, f"an attempt of {path} was in flight, and nothing tells of its end"
                )

    def _event(
        self, instance_id: str, seen: Seen, event: Event, entry: HistoryRow, due: dict[tuple[str, str], int], definition: Definition
    ) -> None:
        kind, path, detail = event.type, event.path, event.detail
        if kind == "timer_scheduled":
            due[path, detail["purpose"]] = detail["due_at"]
        elif kind == "timer_fired":
            at = due.pop((path, detail["purpose"]), None)
            if at is None:
                raise Violation("timer_of_nothing", instance_id, f"{detail['purpose']} of {path} fired and was not set")
            if at > entry.at:
                raise Violation("early_timer", instance_id, f"{detail['purpose']} of {path} fired {at - entry.at} us early")
        elif kind == "activity_completed" or kind == "activity_waiting":
            if path in seen.completed:
                raise Violation("completed_twice", instance_id, f"{path} completed again")
            seen.completed.add(path)
            self._to_undo(seen, path, definition)
        elif kind == "late_result_dropped":
            self._to_undo(seen, path, definition)
        elif kind in FATES:
            self._fate(instance_id, seen, kind, detail["seq"])
        elif kind in ("task_completed", "task_withdrawn"):
            self._closed(instance_id, seen, detail["task"])
        elif kind in ("compensation_failed", "compensation_skipped", "redriven"):
            seen.excused = True
            if "of" in detail:
                seen.over.add(detail["of"])
        elif kind == "ending_began":
            seen.ending = True
        elif kind in ("compensation_began", "compensation_completed"):
            self._undo(instance_id, seen, kind, detail["of"])

    def _fate(self, instance_id: str, seen: Seen, kind: str, seq: int) -> None:
        if seq in seen.fates:
            raise Violation("two_fates", instance_id, f"signal {seq} was {seen.fates[seq]} and is now {FATES[kind]}")
        seen.fates[seq] = FATES[kind]

    def _closed(self, instance_id: str, seen: Seen, task: str) -> None:
        if task in seen.closed:
            raise Violation("task_twice", instance_id, f"the task {task} was closed before")
        seen.closed.add(task)

    def _to_undo(self, seen: Seen, path: str, definition: Definition) -> None:
        place = definition.places.get(address(path))
        node = place.node if place is not None else None
        if isinstance(node, ActivityNode) and node.activity.compensate is not None and path[0] not in "!u":
            seen.to_undo.append(path)

    def _undo(self, instance_id: str, seen: Seen, kind: str, of: str) -> None:
        if kind == "compensation_began":
            seen.undid_at_end |= seen.ending
            if seen.ending and of in seen.to_undo and any(p not in seen.over for p in seen.to_undo[seen.to_undo.index(of) + 1 :]):
                raise Violation("undone_out_of_order", instance_id, f"{of} is undone before what came after it")
            return
        if of in seen.undone:
            raise Violation("undone_twice", instance_id, of)
        seen.undone.add(of)
        seen.over.add(of)

    def _pools(self, server: Server) -> None:
        held: dict[str, list[Any]] = {}
        for ticket in server.store._tickets.all():  # pyright: ignore[reportPrivateUsage]
            if ticket.granted_at is not None and ticket.per is None:
                held.setdefault(ticket.pool, []).append(ticket)
        for pool, tickets in held.items():
            taken = sum(t.amount for t in tickets)
            if taken > max(t.size for t in tickets):
                raise Violation("too_many_slots", tickets[-1].instance_id, f"{taken} slots of {pool} are held")

    # -- when an attempt starts

    def attempt(self, server: Server, owner: str, instance_id: str, path: str, attempt: int) -> None:
        """Raises Violation if its worker's lease is over, or the row, still held by it, does not want this attempt."""
        lease = server.store.lease(owner)
        if not server.clock.stepped and (lease is None or lease < server.now()):
            raise Violation("ran_without_lease", instance_id, f"attempt {attempt} of {path} runs on a worker whose lease is over")
        row = server.store.row(instance_id)
        if row is None or row.owner != owner:
            return  # taken over, and this worker does not know yet
        frame = self.snapshot(row).open.get(path)
        if frame is None or frame.attempt != attempt or frame.run not in ("flying", "stopping"):
            raise Violation("ran_before_commit", instance_id, f"attempt {attempt} of {path} runs, and the row does not say so")

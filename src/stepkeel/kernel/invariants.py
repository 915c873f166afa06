"""What holds for every row at every moment. Said once; tests and `doctor` ask here. The expected count is 0, always.

| code | holds |
|---|---|
| owner_and_wake | a row that is owned has no wake-up |
| terminal_at_rest | an ended row has neither owner nor wake-up |
| no_orphan | a row that has not ended has a reason to move: owner, pause, wake-up, or it waits for something (a slot, too) |
| unread_inbox | a resting row with unread inbox has a wake-up |
| letter_taken | a resting row has taken every request, grant and report that it counts as seen |
| in_flight_owned | what flies has an owner, or a wake-up that will find it lost |
| timer_matches | the wake-up of a waiting row is not later than its earliest timer, or is due already |
| status_matches | row and snapshot tell the same status, state and revision |
| slots_held | nothing flies in a body whose slots the instance has not got |
| flow_fires | a flow that is open has firings that are, and something is open in each of them |
| ticket_matches | what it queues for or holds is a ticket in the store |
| child_exists | the child that a node waits for is there |
| child_unreported | a child that has ended has told so, where its parent waits for it: the report lies in the inbox at least |
| task_matches | the open tasks of an instance at rest are the open rows among the tasks, and no others |
| snapshot_decodes | the snapshot of a row that was not set aside can be read |
| history_decodes | what history tells can be read |
| fold_matches | the snapshot is the fold of the history |
| times_increase | the times of history strictly increase, its revisions have no gap |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from stepkeel.kernel.machine import handlers
from stepkeel.kernel.path import address, below
from stepkeel.kernel.replay import differs
from stepkeel.kernel.timer import earliest
from stepkeel.model.commit import HistoryRow, InboxRow, Row, TicketRow
from stepkeel.model.definition import Definition
from stepkeel.model.node import ForEachNode
from stepkeel.model.snapshot import TERMINAL, UNREADABLE, Frame, Snapshot
from stepkeel.model.task import TaskRow

__all__ = [
    "children_of",
    "hears",
    "open_ended",
    "violations_of_children",
    "violations_of_frames",
    "violations_of_history",
    "violations_of_letters",
    "violations_of_row",
    "violations_of_tasks",
    "violations_of_tickets",
]


def violations_of_row(row: Row, snapshot: Snapshot | None, now: int, handles_signals: bool | None = None) -> list[str]:
    """Codes of the invariants this row breaks at `now`. `handles_signals`: as `hears` says it."""
    found: list[str] = []
    if row.owner is not None and row.wake_at is not None:
        found.append("owner_and_wake")
    if row.status in TERMINAL:
        if row.owner is not None or row.wake_at is not None:
            found.append("terminal_at_rest")
    elif row.owner is None and row.wake_at is None and row.status != "paused":
        if row.status != "waiting" or (snapshot is not None and not _has_open_wait(snapshot, handles_signals)):
            found.append("no_orphan")
        if row.inbox > row.seen:
            found.append("unread_inbox")
    if snapshot is None and row.fault is None:
        found.append("snapshot_decodes")
    if snapshot is None or row.fault is not None:
        return found
    if row.owner is None and row.status not in TERMINAL:
        if row.status != "paused" and row.wake_at is None and any(f.run == "flying" for f in snapshot.open.values()):
            found.append("in_flight_owned")
        timer = earliest(snapshot.timers)
        if (
            row.status == "waiting"
            and timer is not None
            and not snapshot.queues
            and (row.wake_at is None or row.wake_at > max(timer, now))
        ):
            found.append("timer_matches")
    found += violations_of_frames(snapshot)
    if (row.status, row.state, row.revision) != (snapshot.status, snapshot.state, snapshot.revision):
        found.append("status_matches")
    return found


def hears(definition: Definition, snapshot: Snapshot | None) -> bool | None:
    """Some state it stands in takes signals, its own or that of a machine within a body, or a for_each in it items.

    None where it stands in none.
    """
    if snapshot is None or snapshot.state not in definition.states:
        return None
    return bool(handlers(definition, snapshot)) or bool(open_ended(definition, snapshot))


def open_ended(definition: Definition, snapshot: Snapshot) -> list[str]:
    """The paths of each for_each that stays open until somebody completes it."""
    nodes = {path: place.node for path in snapshot.open if (place := definition.places.get(address(path)))}
    return [path for path, node in nodes.items() if isinstance(node, ForEachNode) and node.stays is True]


def _has_open_wait(snapshot: Snapshot, handles_signals: bool | None) -> bool:
    waits = any(f.run == "waiting" or (f.child is not None and not f.child.over) for f in snapshot.open.values())
    return snapshot.queues or waits or handles_signals is not False


def violations_of_frames(snapshot: Snapshot) -> list[str]:
    """Of what is open, whatever its row says."""
    lacking = bool(snapshot.tickets) and _runs_without_slots(snapshot)
    stuck = any(not _fires(snapshot, path, frame) for path, frame in snapshot.open.items())
    return ["slots_held"] * lacking + ["flow_fires"] * stuck


def _fires(snapshot: Snapshot, path: str, frame: Frame) -> bool:
    """Not of an open flow in which nothing does."""
    if frame.run != "open" or frame.round is None or frame.round.tokens is None:
        return True
    going = frame.round.tokens.going
    return bool(going) and all(any(below(p, f"{path}:{part}") for p in snapshot.open) for part in going)


def _runs_without_slots(snapshot: Snapshot) -> bool:
    """Something flies in a hold whose slots it has not all got."""
    lacking = [p for p, held in snapshot.tickets.items() if p in snapshot.open and not all(t.granted for t in held.values())]
    inside = (f for p in lacking for path, f in snapshot.open.items() if path != p and below(path, p))
    return any(snapshot.open[p].run == "holding" for p in lacking) or any(f.run == "flying" for f in inside)


def violations_of_tickets(snapshot: Snapshot, tickets: Sequence[TicketRow]) -> list[str]:
    """A resting instance queues in the store for what its snapshot says it queues for, and holds there what it holds.

    What was granted by a rate is gone from there once the rate's span is over.
    """
    kept = {(t.path, t.pool, t.n): t.granted_at is not None for t in tickets}
    for path, held in snapshot.tickets.items():
        for ticket in held.values():
            granted = kept.get((path, ticket.pool, ticket.n), True if ticket.rate and ticket.granted else None)
            if granted is None or (ticket.granted and not granted):
                return ["ticket_matches"]
    return []


def children_of(snapshot: Snapshot) -> list[str]:
    """The ids of those that have not ended, as far as this instance knows."""
    return [f.child.id for f in snapshot.open.values() if f.child is not None and f.child.id and not f.child.over]


def violations_of_children(snapshot: Snapshot, rows: Mapping[str, Row], letters: Sequence[InboxRow]) -> list[str]:
    """Of an instance at rest: the rows of its children, and the unread letters in its own inbox, read after those."""
    reported = any(letter.kind == "child" for letter in letters)
    found: list[str] = []
    for child in children_of(snapshot):
        row = rows.get(child)
        if row is None:
            found.append("child_exists")
        elif row.status in TERMINAL and not reported:
            found.append("child_unreported")
    return found


def violations_of_tasks(snapshot: Snapshot, rows: Sequence[TaskRow]) -> list[str]:
    """Of an instance at rest, with the rows of its tasks."""
    asked = {
        task: (a.role, a.assignee, a.claimed_by) for f in snapshot.open.values() for task, a in f.tasks.items() if not bytes(a.said)
    }
    kept = {t.id: (t.role, t.assignee, t.claimed_by) for t in rows if t.status == "open"}
    return [] if asked == kept else ["task_matches"]


def violations_of_letters(row: Row, letters: Sequence[InboxRow]) -> list[str]:
    """Of the unread rows of its inbox. Signals may lie there: they are judged in the order and at the time of the definition."""
    if row.owner is not None or row.fault is not None or row.status in TERMINAL:
        return []
    return ["letter_taken"] if any(r.kind != "signal" and r.seq <= row.seen for r in letters) else []


def violations_of_history(snapshot: Snapshot, history: Sequence[HistoryRow]) -> list[str]:
    found: list[str] = []
    try:
        if differs(snapshot, history):
            found.append("fold_matches")
    except UNREADABLE:
        found.append("history_decodes")
    if any(b.at <= a.at or b.revision != a.revision + 1 for a, b in pairwise(history)):
        found.append("times_increase")
    return found

"""Why an instance rests, and what would move it: one sentence for each reason, from row, snapshot and definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepkeel.kernel.hold import ROOT
from stepkeel.kernel.invariants import open_ended
from stepkeel.kernel.machine import handlers
from stepkeel.kernel.path import address
from stepkeel.model.commit import InboxRow, Row, TicketRow
from stepkeel.model.definition import Definition
from stepkeel.model.instant import from_micros
from stepkeel.model.node import DuringNode, FlowNode, WaitNode
from stepkeel.model.snapshot import TERMINAL, Assignment, Frame, Snapshot, how_many

__all__ = ["Explanation", "Reason", "explain"]


@dataclass(frozen=True, slots=True)
class Reason:
    """`kind` is for programs: fault, ended, pause, request, attempt, timer, signal, condition, items, token, child, task, owner,

    wake_up, limit, unserved (no live worker has its definition and version), unknown (the program that asks has not).
    """

    kind: str
    text: str
    due_at: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    id: str
    status: str
    state: str
    why: tuple[Reason, ...]
    moves: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.id} is {self.status}" + (f" in {self.state}" if self.state else "")
        lines = [head] + [f"  because {r.text}" for r in self.why] + [f"  moved by {m}" for m in self.moves]
        return "\n".join(lines)


def _time(at: int) -> str:
    return from_micros(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def explain(
    row: Row,
    snapshot: Snapshot | None,
    definition: Definition | None,
    inbox: Sequence[InboxRow] = (),
    *,
    served: bool = True,
    queues: Mapping[str, Sequence[TicketRow]] | None = None,
    family: Mapping[str, Row] | None = None,
) -> Explanation:
    """`inbox` are its unread rows. `definition` is None where the program asking was not given it.

    `served`: some live worker has its definition and version. `queues`: of each pool it waits for, who holds slots and
    who waits, in order. `family`: the rows of its children, by id.
    """
    why: list[Reason] = []
    moves: list[str] = []
    if row.fault is not None:
        why.append(Reason("fault", f"it was set aside: {row.fault}"))
        moves.append("resume, once the cause is mended")
    elif row.status in TERMINAL:
        why.append(Reason("ended", _ended(row, snapshot)))
        if row.status == "failed":
            moves.append("redrive")
    elif snapshot is None:
        why.append(Reason("fault", "its snapshot does not decode"))
        moves.append("a worker: the one that claims it sets it aside, and says what is wrong")
    else:
        _of_row(row, snapshot, inbox, why, moves)
        _of_frames(snapshot, why)
        _of_children(snapshot, family or {}, why, moves)
        _of_tickets(snapshot, queues or {}, why, moves)
        _of_definition(row, snapshot, definition, why, moves)
        if not served:
            why.append(Reason("unserved", f"no live worker serves {row.definition} version {row.version}"))
            moves.append(f"a worker that is given {row.definition} version {row.version}")
    return Explanation(row.id, row.status, row.state, tuple(why), tuple(moves))


def _ended(row: Row, snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return "it has ended"
    if snapshot.failure is not None:
        text = f"it {row.status}: {snapshot.failure.code}: {snapshot.failure.message} (at {snapshot.failure.path})"
        return text + "".join(f"; undo error at {u.path}: {u.code}: {u.message}" for u in snapshot.failure.undo_errors)
    return f"it {row.status}" + (f": {snapshot.reason}" if snapshot.reason else "")


def _of_row(row: Row, snapshot: Snapshot, inbox: Sequence[InboxRow], why: list[Reason], moves: list[str]) -> None:
    for request in inbox:
        if request.kind == "control":
            who = f" by {request.actor}" if request.actor else ""
            owner = f", waits for worker {row.owner}" if row.owner else ""
            why.append(Reason("request", f"{request.name} asked{who} at {_time(request.received_at)}{owner}"))
    if snapshot.pause is not None:
        by = f" by {snapshot.pause.actor}" if snapshot.pause.actor else ""
        because = f" ({snapshot.pause.reason})" if snapshot.pause.reason else ""
        why.append(Reason("pause", f"it was paused{by} at {_time(snapshot.pause.at)}{because}"))
        moves.append("resume")
    if (moving := snapshot.moving) is not None:
        by = f", asked by {moving.actor}" if moving.actor else ""
        why.append(Reason("request", f"it is to stand in {moving.state or snapshot.state}{by}, once no attempt is in flight"))
    if row.owner is not None:
        why.append(Reason("owner", f"worker {row.owner} holds it"))
    elif row.wake_at is not None and row.status == "created":
        why.append(Reason("wake_up", f"it is to be claimed by a worker since {_time(row.wake_at)}", row.wake_at))
    if snapshot.ending is not None:
        why.append(Reason("ending", f"it is on its way to {snapshot.ending.status} ({snapshot.ending.stage})"))


def _of_frames(snapshot: Snapshot, why: list[Reason]) -> None:
    for path, frame in snapshot.open.items():
        if frame.run in ("flying", "stopping"):
            why.append(Reason("attempt", f"attempt {frame.attempt} of {path} is {frame.run}"))
        elif frame.tasks:
            why.extend(_of_task(path, task, a) for task, a in frame.tasks.items() if not bytes(a.said))
        elif frame.run in ("waiting", "deferred") and frame.reason and not frame.seq:
            why.append(Reason("wait", f"{path} waits: {frame.reason}"))
    for path, purposes in snapshot.timers.items():
        for purpose, at in purposes.items():
            why.append(Reason("timer", f"{purpose} of {path} is due at {_time(at)}", at))


def _of_task(path: str, task: str, a: Assignment) -> Reason:
    who = a.claimed_by or a.assignee or (f"whoever has the role {a.role}" if a.role else ", ".join(a.candidates) or "anybody")
    return Reason("task", f"{path} waits for {who} to do the task {task}")


def _of_children(snapshot: Snapshot, family: Mapping[str, Row], why: list[Reason], moves: list[str]) -> None:
    for path, frame in snapshot.open.items():
        if frame.child is None or frame.child.over:
            continue
        row = family.get(frame.child.id)
        which = f"{row.definition} {row.id}" if row else frame.child.id
        how = f", which is {row.status}" + (f" in {row.label or row.state}" if row.state else "") if row else ""
        told = ", and was told to end" if frame.run == "leaving" else ""
        why.append(Reason("child", f"{path} waits for its child {which}{how}{told}"))
        moves.append(f"the end of {which}")


def _of_tickets(snapshot: Snapshot, queues: Mapping[str, Sequence[TicketRow]], why: list[Reason], moves: list[str]) -> None:
    """Which limit holds it, and who holds the slots."""
    for path, held in snapshot.tickets.items():
        for ticket in held.values():
            if ticket.granted:
                continue
            queue = queues.get(ticket.pool, ())
            holders = [t.instance_id for t in queue if t.granted_at is not None]
            waiting = [t for t in queue if t.granted_at is None]
            mine = next((n for n, t in enumerate(waiting) if (t.instance_id, t.path, t.n) == (snapshot.id, path, ticket.n)), None)
            what = "it" if path == ROOT else path
            size = next((f"{t.size} at once" if t.per is None else f"{t.size} in {t.per / 1e6:g} s" for t in waiting), "full")
            many = next((t.amount for t in waiting if (t.instance_id, t.path, t.n) == (snapshot.id, path, ticket.n)), 1)
            text = f"{what} waits for {'a slot' if many == 1 else f'{many} slots'} of {ticket.pool} ({size})"
            if mine is not None:
                text += f", {mine} before it"
            if holders:
                text += f"; held by {', '.join(holders[:3])}" + (f" and {len(holders) - 3} more" if len(holders) > 3 else "")
            why.append(Reason("limit", text))
            moves.append(f"a slot of {ticket.pool}")


def _of_tokens(path: str, node: FlowNode, frame: Frame, why: list[Reason]) -> None:
    """Steps of a flow that tokens have come to, and that wait for others."""
    tokens = frame.round.tokens if frame.round is not None else None
    arcs = {} if tokens is None else tokens.arcs
    for step in node.steps:
        leading = [a.key for a in node.incoming[step.key]]
        came = ", ".join(f"{key} ({how_many(arcs[key])})" for key in leading if key in arcs)
        if came:
            empty = ", ".join(key for key in leading if key not in arcs)
            text = f"{path}:{step.key} has tokens on {came}" + (f", none on {empty}" if empty else "")
            why.append(Reason("token", f"{text}; its join is {step.join}"))


def _of_definition(row: Row, snapshot: Snapshot, definition: Definition | None, why: list[Reason], moves: list[str]) -> None:
    if definition is None:
        why.append(Reason("unknown", f"{row.definition} version {row.version} is not known to this program"))
        return
    waits = [
        place.node.signal
        for path in snapshot.open
        if (place := definition.places.get(address(path))) and isinstance(place.node, WaitNode) and place.node.signal
    ]
    for path in snapshot.open:
        place = definition.places.get(address(path))
        if place and isinstance(place.node, WaitNode) and place.node.condition:
            why.append(Reason("condition", f"{path} waits until {place.node.condition.name} holds"))
            moves.append("whatever changes its data")
        if place and isinstance(place.node, DuringNode) and snapshot.open[path].run == "held":
            why.append(Reason("condition", f"{path} is offered while {place.node.guard.name} holds"))
            moves.append("whatever makes that hold")
        if place and isinstance(place.node, FlowNode):
            _of_tokens(path, place.node, snapshot.open[path], why)
    for path in open_ended(definition, snapshot):
        why.append(Reason("items", f"{path} stays open until somebody completes it"))
        moves += ["add_items", "complete_node"]
    handled = [r.signal for r in handlers(definition, snapshot)] if snapshot.ending is None else []
    for name in dict.fromkeys(waits + handled):
        why.append(Reason("signal", f"it can take the signal {name}"))
        moves.append(f"signal {name}")
    if snapshot.timers and snapshot.pause is None:
        moves.append("time")

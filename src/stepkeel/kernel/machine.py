"""States: entering, resting, leaving; of the instance's own machine (its path is empty) and of those within bodies.

| step | does |
|---|---|
| enter | visit + 1, what older visits remembered is dropped, timers of the timeouts set, the body's first node ready |
| rest | nothing below it flying, stopping or ready, no reaction of it at work: reactions may move the machine |
| leave | open nodes closed, their timers gone, `closed` notes the signals that were heard, the target entered |
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.errors import BadRequest
from stepkeel.kernel.data import PureFailed, ask, holds, pure_failure
from stepkeel.kernel.draft import READY, Draft
from stepkeel.kernel.path import address, around, below, is_reaction, state_path
from stepkeel.model.definition import Definition, State
from stepkeel.model.node import ChildNode, MachineNode, Node, WaitNode, walk
from stepkeel.model.reaction import Reaction
from stepkeel.model.snapshot import Failure, Frame, Snapshot, Standing

__all__ = [
    "WHOLE",
    "anchor",
    "arm",
    "arm_deadlines",
    "body_done",
    "current",
    "drop_deadlines",
    "enter",
    "fail_machine",
    "flying",
    "handlers",
    "heard",
    "is_own",
    "leave_state",
    "loose",
    "machines",
    "open_body",
    "rests",
    "root_path",
    "states_of",
    "take_transition",
    "way_out",
]

MOVES_WITHOUT_REST = 1_000
_BUSY = frozenset({"flying", "ready", "stopping", "failed"})
_OWN = ("",)
WHOLE = "!instance"  # the path of the timer of an instance as a whole


def machines(draft: Draft) -> tuple[str, ...]:
    """The paths of the machines at work, innermost first, the instance's own last."""
    if not draft.definition.nested:
        return _OWN
    inner = [path for path, frame in draft.open.items() if frame.machine is not None and frame.run == "open"]
    return (*sorted(inner, key=lambda path: -path.count("/")), "")


def states_of(draft: Draft, machine: str) -> dict[str, State]:
    if not machine:
        return draft.definition.states
    node = draft.node_at(machine)
    assert isinstance(node, MachineNode)
    return node.states


def handlers(definition: Definition, snapshot: Snapshot) -> list[Reaction]:
    """Those for signals, of every state that the instance stands in: its own, and those of machines within bodies."""
    state = definition.states.get(snapshot.state)
    found = [*state.signals] if state else []
    for path, frame in snapshot.open.items():
        place = definition.places.get(address(path)) if frame.machine is not None else None
        if place is not None and isinstance(place.node, MachineNode) and frame.machine is not None:
            found += place.node.states[frame.machine.state].signals
    return found


def _standing(draft: Draft, machine: str) -> Standing:
    found = draft.open[machine].machine
    assert found is not None
    return found


def root_path(draft: Draft, machine: str = "") -> str:
    """The path of the state in which a machine stands."""
    if not machine:
        return state_path(draft.state, draft.visits.get(draft.state, 1))
    at = _standing(draft, machine)
    return f"{machine}:{state_path(at.state, at.visits.get(at.state, 1))}"


def current(draft: Draft, machine: str = "") -> State:
    if not machine:
        return draft.definition.states[draft.state]
    return states_of(draft, machine)[_standing(draft, machine).state]


def open_body(draft: Draft, container: str, body: tuple[Node, ...]) -> None:
    if body:
        draft.put(f"{container}/{body[0].key}", READY)


def enter(draft: Draft, name: str, machine: str = "", begin: str | None = "") -> None:
    """Enter a state of a machine; its body begins at the node `begin`, at its first one, or (None) not at all."""
    state = states_of(draft, machine)[name]
    begins = not (_standing(draft, machine).state if machine else draft.state)
    if machine:
        at = _standing(draft, machine)
        visit = at.visits.get(name, 0) + 1
        draft.put(machine, replace(draft.open[machine], machine=Standing(name, {**at.visits, name: visit})))
        draft.fired = {p: n for p, n in draft.fired.items() if not below(p, machine) or is_own(p, machine)}
    else:
        visit = draft.visits.get(name, 0) + 1
        draft.visits = {**draft.visits, name: visit}
        draft.state = name
        if draft.fired:
            draft.fired = {p: n for p, n in draft.fired.items() if is_own(p)}
        if state.label:
            draft.label = state.label
    path = root_path(draft, machine)
    draft.say("state_entered", path)
    if begin:
        draft.put(f"{path}/{begin}", READY)
    elif begin is not None:
        open_body(draft, path, state.body)
    try:
        if begins:
            arm_deadlines(draft, machine)
        for reaction in state.timeouts:
            arm(draft, path, reaction)
    except PureFailed as error:
        for open_path in [p for p in draft.open if below(p, path)]:
            draft.drop(open_path)  # nothing of its body begins
        fail_machine(draft, machine, pure_failure(path, error))


def fail_machine(draft: Draft, machine: str, failure: Failure) -> None:
    """What belongs to no node of its body has failed: the state of the instance as a whole, or the node that the machine is."""
    if machine:
        draft.fail(machine, failure)
    else:
        draft.put(root_path(draft), Frame(run="failed", error=failure))


def anchor(machine: str) -> str:
    """What the paths of a machine's own reactions begin with: `!late` of the instance's, `work/track:!late` of one within."""
    return f"{machine}:" if machine else ""


def is_own(path: str, machine: str = "") -> bool:
    """True for a reaction of the machine as a whole, its timer, and what it does."""
    return path.startswith(f"{anchor(machine)}!")


def deadlines(draft: Draft, machine: str = "") -> tuple[Reaction, ...]:
    if not machine:
        return draft.definition.deadlines
    node = draft.node_at(machine)
    return node.deadlines if isinstance(node, MachineNode) else ()


def arm_deadlines(draft: Draft, machine: str = "") -> None:
    """Set the timers of the timeouts of a machine as a whole. Raises PureFailed."""
    if not machine and draft.definition.workflow_timeout is not None:
        draft.set_timer(WHOLE, "timeout", draft.now + draft.definition.workflow_timeout)
    for reaction in deadlines(draft, machine):
        arm(draft, anchor(machine), reaction)


def arm(draft: Draft, path: str, reaction: Reaction) -> None:
    """Set the timer of a timeout. Raises PureFailed."""
    delay = reaction.delay
    if delay is None and reaction.delay_of is not None:
        span = ask(reaction.delay_of, draft.view(path))
        try:
            delay = round(span.total_seconds() * 1_000_000) if hasattr(span, "total_seconds") else round(span * 1_000_000)
        except (TypeError, ValueError) as error:
            raise PureFailed(f"{reaction.delay_of.name} gave {span!r}, no timedelta: {error}") from error
    due = draft.now + max(0, delay or 0)
    if reaction.calendar is not None:
        try:
            due = reaction.calendar.add(draft.now, delay or 0)
        except BadRequest as error:
            raise PureFailed(str(error)) from error
    draft.set_timer(f"{path}!{reaction.name}", "after", due)


def drop_deadlines(draft: Draft, machine: str) -> None:
    """A machine within a body is over."""
    for path in [p for p in draft.timers if is_own(p, machine)]:
        draft.drop_timers(path)


def rests(draft: Draft, machine: str = "") -> bool:
    """Nothing below the machine is in flight and no reaction of it is at work, loose branches aside."""
    scope = root_path(draft, machine) if machine else ""
    holders = loose(draft)
    for path, frame in draft.open.items():
        own = not scope or below(path, scope) or is_own(path, machine)
        busy = own and (frame.run in _BUSY or is_reaction(path))
        if busy and not (holders and is_loose(path, holders)):
            return False
    return True


def body_done(draft: Draft, machine: str = "") -> bool:
    prefix = root_path(draft, machine) + "/"
    holders = loose(draft)
    for path in draft.open:
        if path.startswith(prefix) and not (holders and is_loose(path, holders)):
            return False
    return True


def loose(draft: Draft) -> tuple[str, ...]:
    """The nodes whose join is over while branches of them run on."""
    if not draft.definition.concurrent:
        return ()
    return tuple(path for path, frame in draft.open.items() if frame.run == "loose")


def is_loose(path: str, holders: tuple[str, ...]) -> bool:
    return any(below(path, holder) for holder in holders)


def flying(draft: Draft, machine: str = "") -> list[tuple[str, Frame]]:
    """The attempts on their way that leaving the state would stop."""
    holders, scope = loose(draft), root_path(draft, machine) if machine else ""
    return [
        (p, f)
        for p, f in draft.open.items()
        if f.run in ("flying", "stopping") and (not scope or below(p, scope)) and not is_loose(p, holders)
    ]


def way_out(draft: Draft, machine: str = "") -> str:
    """The first automatic way whose guard holds. Raises PureFailed."""
    for transition in current(draft, machine).transitions:
        if holds(draft, transition.when, at=machine):
            return transition.to
    return ""


def heard(state: State) -> frozenset[str]:
    """The signals a state takes: by a handler, or by a wait in its body, or in a machine there."""
    nodes = [*walk(state.body)]
    waits = {n.signal for n in nodes if isinstance(n, WaitNode) and n.signal}
    inner = {r.signal for n in nodes if isinstance(n, MachineNode) for s in n.states.values() for r in s.signals}
    return frozenset(waits | inner | {r.signal for r in state.signals if not r.anywhere})


def leave_state(draft: Draft, to: str, machine: str = "") -> None:
    """Close what is open, note which signals can no longer be meant for this state."""
    path = root_path(draft, machine)
    holders = loose(draft)
    for open_path in [p for p in draft.open if (below(p, path) and not is_loose(p, holders)) or is_own(p, machine)]:
        draft.drop(open_path)
    for timed in [p for p in draft.timers if below(p, path) and not is_loose(p, holders)]:
        draft.drop_timers(timed)
    draft.drop_results(path)
    if holders:
        _part_from(draft, to, machine, holders)
    if to != current(draft, machine).name:
        signals = heard(current(draft, machine))
        if machine:  # a state around it, or one beside it, may still mean the same
            signals = signals - _heard_elsewhere(draft, path)
        if signals:
            draft.closed = {**draft.closed, **dict.fromkeys(sorted(signals), draft.revision)}


def _part_from(draft: Draft, to: str, machine: str, holders: tuple[str, ...]) -> None:
    """Children that nothing waits for end when their machine goes where they are not bound to."""
    for path in holders:
        node = draft.node_at(path)
        if isinstance(node, ChildNode) and node.bound_to and to not in node.bound_to and _of_node(draft, path) == machine:
            draft.drop(path)


def _of_node(draft: Draft, path: str) -> str:
    """The machine in whose body a node stands."""
    for holder, _ in around(path):
        frame = draft.open.get(holder)
        if frame is not None and frame.machine is not None:
            return holder
    return ""


def _heard_elsewhere(draft: Draft, path: str) -> frozenset[str]:
    found: set[str] = set()
    for other in machines(draft):
        if not below(other, path) and root_path(draft, other) != path:
            found |= {r.signal for r in current(draft, other).signals}
    for open_path, frame in draft.open.items():
        node = draft.node_at(open_path) if frame.run == "waiting" else None
        if isinstance(node, WaitNode) and not below(open_path, path):
            found.add(node.signal)
    return frozenset(found)


def take_transition(draft: Draft, to: str, trigger: str, by: str = "", machine: str = "", begin: str | None = "") -> None:
    """Leave the current state for another (or for a new visit of itself)."""
    was = current(draft, machine).name
    leave_state(draft, to, machine)
    detail = {"by": by} if by else {}
    draft.say("transitioned", machine, **{"from": was, "to": to, "trigger": trigger, **detail})
    draft.moves += 1
    if draft.moves > MOVES_WITHOUT_REST:
        text = f"{MOVES_WITHOUT_REST} transitions in one decision, the last from {was} to {to}"
        fail_machine(draft, machine, Failure("no_progress", text, machine or was, kind="permanent"))
        return
    enter(draft, to, machine, begin)

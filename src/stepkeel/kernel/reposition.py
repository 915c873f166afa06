"""Where an operator puts an instance: in a state (set_state), or back where it failed, or further back (redrive).

| asked | of | does |
|---|---|---|
| set_state | one that is not ending | the state is left as by a transition, the other entered; a failed one is open again |
| redrive | a failed one | what was open at the failure stands again, attempts count from 1; timeouts of its states too |
| redrive from | a failed one | the state is entered anew: a new visit, whose attempts have idempotency keys of their own |

A state, or a node of its body: `Pay`, `Pay/charge`. What needs the definition is left for the next claim where it is not at
hand (`moving`); so is what has to wait for attempts in flight, and nothing else begins until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from stepkeel.kernel import compensation, join, machine
from stepkeel.kernel.data import PureFailed, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import address, below, container, is_reaction
from stepkeel.model.definition import Definition
from stepkeel.model.input import Redrive, SetState, said_of
from stepkeel.model.snapshot import Child, Failure, Frame, Moving, Snapshot

__all__ = ["Places", "place_refused", "places_of", "proceed", "redrive", "set_state", "stand_again", "to_place", "undone_refused"]

Places = Mapping[str, Sequence[str]]  # of each state that operators may set, the nodes of its body, in order


def places_of(definition: Definition) -> Places:
    return {s.name: [n.key for n in s.body] for s in definition.states.values() if s.settable}


def place_refused(places: Places, snapshot: Snapshot, request: SetState | Redrive) -> str:
    """Why it cannot be put there; nothing if it can."""
    asked = request.state if isinstance(request, SetState) else request.from_state
    if not asked:
        return ""
    state, _, node = asked.partition("/")
    if state not in places:
        return f"{snapshot.definition} has no state {state} that may be set; there are: {', '.join(places) or 'none'}"
    keys = [*places[state]]
    if node and node not in keys:
        return f"{asked} is no node of the body of {state}; there are: {', '.join(f'{state}/{k}' for k in keys) or 'none'}"
    if node and isinstance(request, SetState) and not request.body:
        return f"{asked} is a node of the body that is to be left out: one of the two"
    if isinstance(request, Redrive) and node and snapshot.failure is not None:
        left_out = [f"{state}/{k}" for k in keys[: keys.index(node)]]
        undone = [p for p in snapshot.failure.undone if any(below(address(p), x) for x in left_out)]
        if undone:
            return f"undone since the failure, and before {asked}: {', '.join(undone)}; say from there"
    return ""


def undone_refused(failure: Failure | None) -> str:
    """Why it cannot go on where it failed: the world is not as it was then."""
    if failure is None or not failure.undone:
        return ""
    return f"undone since the failure: {', '.join(failure.undone)}; say from which state, or node of one (from_state=)"


def to_place(place: str, **options: Any) -> Moving:
    """`Pay`, or `Pay/charge`."""
    state, _, node = place.partition("/")
    return Moving(state, node, **options)


def set_state(draft: Draft, input: SetState) -> str | None:
    refused = _refused(draft, input)
    if refused:
        return refused
    reopened = draft.status == "failed"
    if reopened:
        _stand_open(draft)
    elif draft.status == "created":
        draft.status = "running"
    draft.say("state_set", to=input.state, **({} if input.body else {"body": False}), **said_of(input))
    draft.moving = to_place(input.state, body=input.body, actor=input.actor, reopened=reopened)
    if input.stop:
        for path, frame in machine.flying(draft):
            draft.stop(path, frame)
    if draft.definition.states:
        proceed(draft)
    return None


def redrive(draft: Draft, input: Redrive) -> str | None:
    failure = draft.failure or Failure("unknown")
    refused = _refused(draft, input)
    if refused:
        return refused
    if input.failed_parts and input.from_state:
        return "from a state, or with what had failed beside: one of the two"
    if not input.from_state and (refused := undone_refused(failure)):
        return refused
    _stand_open(draft)
    draft.say("redriven", **said_of(input, **{"from": input.from_state}))
    if input.from_state:
        draft.moving = to_place(input.from_state, trigger="redrive", actor=input.actor, reopened=True)
    else:
        for path, frame in failure.open.items():
            stand_again(draft, path, frame)
        draft.moving = Moving(trigger="redrive", parts=input.failed_parts)
    if draft.definition.states:
        proceed(draft)
    return None


def _refused(draft: Draft, input: SetState | Redrive) -> str:
    """Where the definition is not at hand its outline was asked (engine/control.py)."""
    return place_refused(places_of(draft.definition), draft.before, input) if draft.definition.states else ""


def _stand_open(draft: Draft) -> None:
    """It has not failed after all."""
    draft.failure = None
    draft.reason = ""
    draft.status = "running"


def stand_again(draft: Draft, path: str, frame: Frame) -> None:
    """Put a frame back as it stood at the failure. What had been told to stop is not begun again."""
    if frame.run == "stopping" or (path.startswith("undo/") and compensation.entry_at(draft, path) is None):
        return
    if is_reaction(path):
        draft.put(path, frame)
    elif frame.run == "holding":
        draft.put(path, Frame(run="ready"))  # its slots were given back: it asks anew
    elif frame.child is not None and frame.run == "loose":
        draft.put(path, Frame(run="ready", child=Child()))  # begun once more; the flow is behind it already
    elif frame.round is not None or frame.machine is not None or frame.run == "open":  # the last: a `during` that is offered
        draft.put(path, replace(frame, run="ready" if frame.run == "failed" else frame.run, error=None))
    elif container(path):  # else a state that failed as a whole: its rules are simply tried again
        draft.put(path, Frame(run="ready", steps=frame.steps))


def proceed(draft: Draft) -> bool:
    """Do it, now that nothing flies; False while something does."""
    moving = draft.moving
    assert moving is not None
    if moving.state and machine.flying(draft):
        return False
    draft.moving = None
    try:
        if not moving.state:
            _go_on(draft, parts=moving.parts)
            return True
        if moving.reopened and draft.state:
            machine.arm_deadlines(draft)
    except PureFailed as error:
        machine.fail_machine(draft, "", pure_failure(machine.root_path(draft), error))
        return True
    begin = moving.begin if moving.body else None
    if draft.state:
        machine.take_transition(draft, moving.state, moving.trigger, moving.actor, begin=begin)
    else:
        machine.enter(draft, moving.state, begin=begin)
    return True


def _go_on(draft: Draft, *, parts: bool) -> None:
    """Redriven where it stood: its timeouts count anew, and what had failed beside is tried again if that was asked.

    Raises PureFailed.
    """
    if parts:
        for path in [p for p, f in draft.open.items() if f.round is not None and f.run == "open"]:
            join.reopen(draft, path)
    for m in machine.machines(draft) if draft.state else ():
        machine.arm_deadlines(draft, m)
        for reaction in machine.current(draft, m).timeouts:
            machine.arm(draft, machine.root_path(draft, m), reaction)

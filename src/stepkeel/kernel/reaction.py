"""Reactions: from "it came" to the move.

| step | when | then |
|---|---|---|
| fire, into | value given | the mapping changes the data; raising fails a signal (instance as it was), else the state |
| fire, do | a body is declared | the reaction's frame stays open while it runs, still in the old state |
| finish | no body, or its last node closed | what it has undone is undone first; the signal is processed, the move is made |

| move | then |
|---|---|
| to | the state is left, the target entered |
| stay | nothing |
| go_on | what is open in the body closes; after a failure the failed node counts as skipped |
| cancel, complete | of its target, as a stop node does; after a failure the failed node counts as skipped, too |
| end | the machine ends |

One that leads out of the body (to, go_on, end) and interrupts, or comes after a failure, first stops what flies; its frame is
`held` until those attempts have really ended. While what was done is undone, it is `undoing`.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepkeel.kernel import compensation, ending, operate, region
from stepkeel.kernel.data import PureFailed, apply_into, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import anchor, current, flying, is_loose, leave_state, loose, open_body, root_path, take_transition
from stepkeel.kernel.path import address, below, inside, is_reaction, machine_of
from stepkeel.model.input import Signal
from stepkeel.model.reaction import Reaction
from stepkeel.model.snapshot import NOTHING, Failure, Frame, Undo

__all__ = ["failure_reaction", "finish", "fire", "leaving", "may_begin", "proceed", "reaction_at"]


def reaction_at(draft: Draft, path: str) -> Reaction:
    return draft.definition.reactions[address(path)]


def fire(
    draft: Draft,
    reaction: Reaction,
    value: Any,
    signal: Signal | None = None,
    error: Failure | None = None,
    machine: str = "",
) -> None:
    """Begin a reaction of a machine's current state. Raises PureFailed when its mapping does: nothing was changed then."""
    apply_into(draft, machine, reaction.into, value)
    own = reaction.anywhere and reaction.trigger == "timeout"
    base = f"{anchor(machine) if own else root_path(draft, machine)}!{reaction.name}"
    path = base
    if reaction.move.kind not in ("to", "end") and reaction.do:
        firing = draft.fired.get(base, 0) + 1
        draft.fired = {**draft.fired, base: firing}
        path = base if firing == 1 else f"{base}#{firing}"
    frame = Frame(
        run="waiting",
        seq=signal.seq if signal else 0,
        reason=signal.name if signal else "",
        input=signal.payload if signal else NOTHING,
        error=error,
    )
    stopped = flying(draft, machine) if _leads_out(reaction, error) and (reaction.interrupt or error is not None) else []
    if stopped:
        for open_path, open_frame in stopped:
            draft.stop(open_path, open_frame)
        draft.put(path, replace(frame, run="held"))
        return
    draft.put(path, frame)
    _run(draft, path, reaction)


def _leads_out(reaction: Reaction, error: Failure | None) -> bool:
    """Its move closes the body; after a failure `go_on` goes on in it."""
    return reaction.move.kind in ("to", "end") or (reaction.move.kind == "go_on" and error is None)


def _run(draft: Draft, path: str, reaction: Reaction) -> None:
    if reaction.do:
        open_body(draft, path, reaction.do)
    else:
        finish(draft, path)


def proceed(draft: Draft) -> bool:
    """Let one go on that waited: for attempts it stopped to end, or for what it has undone."""
    for path, frame in draft.open.items():
        if not is_reaction(path) or frame.run not in ("held", "undoing"):
            continue
        if frame.run == "undoing":
            if any(p.startswith("undo/") for p in draft.open):
                continue
            entry = _to_undo(draft, path)
            if entry is not None:
                compensation.begin(draft, entry)
            else:
                _move(draft, path)
            return True
        if not flying(draft, machine_of(path)):
            draft.put(path, replace(frame, run="waiting"))
            _run(draft, path, reaction_at(draft, path))
            return True
    return False


def leaving(draft: Draft) -> tuple[tuple[str, str], ...]:
    """Reactions at work that will lead out of a body, and of which state's (nothing: the instance's own)."""
    found: list[tuple[str, str]] = []
    for path, frame in draft.open.items():
        if is_reaction(path) and _leads_out(reaction_at(draft, path), frame.error):
            machine = machine_of(path)
            found.append((path, root_path(draft, machine) if machine else ""))
    return tuple(found)


def may_begin(path: str, leaving: tuple[tuple[str, str], ...]) -> bool:
    """Nothing begins in a state that is being left, but what the reaction that leaves it does, and what it has undone."""
    return path.startswith("undo/") or all(
        below(path, reaction) or (scope and not below(path, scope)) for reaction, scope in leaving
    )


def finish(draft: Draft, path: str) -> None:
    """The reaction's body is done: undo what it has undone, then settle the signal and make the move."""
    if reaction_at(draft, path).undo != "none":
        _close_body(draft, machine_of(path))
        draft.put(path, replace(draft.open[path], run="undoing"))
        return
    _move(draft, path)


def _to_undo(draft: Draft, path: str) -> Undo | None:
    """The last that was done in this visit of the state, or in the machine; not what the reaction itself has done."""
    machine = machine_of(path)
    scope = root_path(draft, machine) if reaction_at(draft, path).undo == "state" else machine
    return next((u for u in reversed(draft.undo) if (not scope or below(u.path, scope)) and not below(u.path, path)), None)


def _move(draft: Draft, path: str) -> None:
    reaction, machine = reaction_at(draft, path), machine_of(path)
    frame = draft.drop(path)
    assert frame is not None
    if frame.seq:
        draft.settle_signal(frame.seq, frame.reason, "processed")
    move = reaction.move
    if move.kind == "to":
        take_transition(draft, move.state, reaction.trigger, reaction.name, machine)
    elif move.kind == "end":
        assert move.ending is not None
        where = current(draft, machine).name
        if machine:
            leave_state(draft, "", machine)
        ending.end_machine(draft, machine, move.ending, where)
    elif move.kind != "stay":
        if frame.error is not None:
            _skip_failed(draft, frame.error)
        elif move.kind == "go_on":
            _close_body(draft, machine)
        if move.kind in ("cancel", "complete"):
            operate.stop(draft, path, move.target, move.kind, "end", within=machine)


def _close_body(draft: Draft, machine: str) -> None:
    """Close what is open in the body of the current state; what was left to finish stays."""
    prefix, holders = root_path(draft, machine) + "/", loose(draft)
    inside_it = [p for p in draft.open if p.startswith(prefix) and not is_loose(p, holders)]
    if inside_it:
        region.cancel(draft, *inside_it)


def _skip_failed(draft: Draft, error: Failure) -> None:
    """After a failure: the failed node counts as skipped, the body continues behind it."""
    place = draft.definition.places.get(address(error.path))
    if place is not None and (place.next or inside(error.path)):
        draft.closing.append(error.path)


def failure_reaction(draft: Draft, failure: Failure, machine: str = "") -> Reaction | None:
    """The first failure reaction of a machine's state that means this failure. A guard that raises does not hold it."""
    for reaction in current(draft, machine).failures:
        if not reaction.errors.empty and not reaction.errors.names(failure.code, failure.types):
            continue
        try:
            if holds(draft, reaction.when, failure, at=machine):
                return reaction
        except PureFailed as error:
            draft.say("activity_failed", failure.path, **_brief(pure_failure(failure.path, error)))
    return None


def _brief(failure: Failure) -> dict[str, Any]:
    return {"code": failure.code, "message": failure.message}

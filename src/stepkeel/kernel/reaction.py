"""Reactions: from "it came" to the move.

| step | when | then |
|---|---|---|
| fire, into | value given | the mapping changes the data; raising fails a signal (instance as it was), else the state |
| fire, do | a body is declared | the reaction's frame stays open while it runs, still in the old state |
| finish | no body, or its last node closed | the signal is processed, the move is made |

An interrupting reaction, and one that leads elsewhere after a failure, first stops what flies; its frame is `held` until
those attempts have really ended.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepkeel.kernel.data import PureFailed, apply_into, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import current, flying, open_body, root_path, take_transition
from stepkeel.kernel.path import address, below, inside, is_reaction, machine_of
from stepkeel.model.input import Signal
from stepkeel.model.reaction import Reaction
from stepkeel.model.snapshot import NOTHING, Failure, Frame

__all__ = ["failure_reaction", "finish", "fire", "leaving", "may_begin", "proceed_held", "reaction_at"]


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
    base = f"{root_path(draft, machine)}!{reaction.name}"
    path = base
    if reaction.move.kind != "to" and reaction.do:
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
    stopped = flying(draft, machine) if reaction.interrupt or (error is not None and reaction.move.kind == "to") else []
    if stopped:
        for open_path, open_frame in stopped:
            draft.stop(open_path, open_frame)
        draft.put(path, replace(frame, run="held"))
        return
    draft.put(path, frame)
    _run(draft, path, reaction)


def _run(draft: Draft, path: str, reaction: Reaction) -> None:
    if reaction.do:
        open_body(draft, path, reaction.do)
    else:
        finish(draft, path)


def proceed_held(draft: Draft) -> bool:
    """Let the interrupting reaction go on once every attempt it stopped has ended."""
    for path, frame in draft.open.items():
        if frame.run == "held" and is_reaction(path) and not flying(draft, machine_of(path)):
            draft.put(path, replace(frame, run="waiting"))
            _run(draft, path, reaction_at(draft, path))
            return True
    return False


def leaving(draft: Draft) -> tuple[tuple[str, str], ...]:
    """Reactions at work that will lead out of a state, and of which (nothing: the instance's own)."""
    found: list[tuple[str, str]] = []
    for path in draft.open:
        if is_reaction(path) and reaction_at(draft, path).move.kind == "to":
            machine = machine_of(path)
            found.append((path, root_path(draft, machine) if machine else ""))
    return tuple(found)


def may_begin(path: str, leaving: tuple[tuple[str, str], ...]) -> bool:
    """Nothing begins in a state that is being left, but what the reaction that leaves it does."""
    return all(below(path, reaction) or (scope and not below(path, scope)) for reaction, scope in leaving)


def finish(draft: Draft, path: str) -> None:
    """The reaction's body is done: settle the signal, make the move."""
    reaction = reaction_at(draft, path)
    frame = draft.drop(path)
    if frame is not None and frame.seq:
        draft.settle_signal(frame.seq, frame.reason, "processed")
    move = reaction.move
    if move.kind == "to":
        take_transition(draft, move.state, reaction.trigger, reaction.name, machine_of(path))
    elif move.kind == "go_on" and frame is not None and frame.error is not None:
        _skip_failed(draft, frame.error)


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

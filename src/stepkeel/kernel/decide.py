"""decide: gate, apply, settle. The one function that says what happens next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel import compensation, ending, family, hold, operate, reposition
from stepkeel.kernel.draft import UNKNOWN, Draft, Items, no_items
from stepkeel.kernel.gate import verdict
from stepkeel.kernel.node import activity, child, task
from stepkeel.kernel.settle import rest_as_it_is, settle
from stepkeel.model import input as inputs
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.effect import Effect, RunAttempt
from stepkeel.model.snapshot import Frame, Pause, Snapshot

__all__ = ["apply_only", "decide", "outstanding", "start"]

_REFUSAL = {"E": "instance_ended", "I": "invalid_transition"}


def start(definition: Definition, started: inputs.Started, now: int, seed: int) -> Decision:
    """The decision that makes the snapshot. Claimed at once, it enters the initial state in the same entry of history."""
    empty = Snapshot(
        started.id,
        started.tenant,
        definition.name,
        definition.version,
        str(definition.fingerprint),
        "created",
        Raw(started.data),
        parent=started.parent,
    )
    draft = Draft(definition, empty, now, seed, ())
    draft.say("created")
    if started.claimed:
        settle(draft)
        family.report(draft)
    return draft.decision()


def decide(
    definition: Definition,
    snapshot: Snapshot,
    input: inputs.Input,
    now: int,
    seed: int,
    signals: tuple[inputs.Signal, ...] = (),
    items: Items = no_items,
) -> Decision:
    """What happens to an instance when `input` comes: its next snapshot, events, effects.

    `now` is in microseconds (moved past the last history entry if it lies behind), `seed` the only chance there is,
    `signals` what lies unread in its inbox, oldest first, `items` what a for_each has listed (told by path and revision;

    asked where a function wants its item: `definition.itemized`). Pure: nothing is performed, no argument is changed.
    """
    kind = type(input)
    verdict_ = verdict(snapshot, kind)
    if verdict_ == "drop" or (verdict_ == "keep" and kind is inputs.SignalArrived):
        return Decision(snapshot)  # a kept signal stays in the inbox until the instance can judge it
    if verdict_ in _REFUSAL:
        return _refusal(snapshot, kind, _REFUSAL[verdict_])
    draft = Draft(definition, snapshot, now, seed, signals, items)
    refused = _APPLY[kind](draft, input)
    if refused:
        return _told(snapshot, refused)
    if isinstance(input, inputs.HandedBack) and draft.pause is None and not draft.in_flight() and _any_deferred(draft, input):
        rest_as_it_is(draft)
    elif kind is not inputs.Archive and not (kind is inputs.SetData and snapshot.status == "failed"):
        _note_code(draft)
        settle(draft)
    family.report(draft)
    return draft.decision()


def apply_only(
    snapshot: Snapshot, input: inputs.Control, now: int, seed: int, definition: Definition | None, *, handlers: bool = False
) -> Decision:
    """Gate and apply of a control request, from the snapshot alone; the next claim settles what follows from it.

    Setting data of a failed instance needs the definition; without it the request is refused.
    `handlers`: an ending runs bodies of the definition (where it is not at hand, its outline tells), so it cannot be closed here.
    """
    kind = type(input)
    verdict_ = verdict(snapshot, kind)
    if verdict_ in _REFUSAL:
        return _refusal(snapshot, kind, _REFUSAL[verdict_])
    if definition is None and (kind in inputs.SETTLED or (kind is inputs.SetData and snapshot.status != "failed")):
        return Decision(snapshot)  # whoever has it judges
    if definition is None and kind is inputs.SetData:
        text = f"{snapshot.definition} version {snapshot.version} is not known here, and to set data needs it"
        return Decision(snapshot, refused="invalid_transition", message=text)
    draft = Draft(definition or UNKNOWN, snapshot, now, seed, ())
    refused = _APPLY[kind](draft, input)
    if refused:
        return _told(snapshot, refused)
    if draft.pause is not None:
        draft.status = "paused"
    elif draft.ending is not None and not handlers and ending.needs_nobody(draft):
        ending.close(draft)
    family.report(draft)
    return draft.decision()


def _refusal(snapshot: Snapshot, kind: type[Any], code: str) -> Decision:
    asked = inputs.control_name(kind) if issubclass(kind, inputs.Control) else kind.__name__
    return Decision(snapshot, refused=code, message=f"{asked} is not possible: {snapshot.id} is {_doing(snapshot)}")


def _told(snapshot: Snapshot, text: str) -> Decision:
    code = "revision_changed" if text.startswith(inputs.MOVED_ON) else "invalid_transition"
    return Decision(snapshot, refused=code, message=text)


def _doing(snapshot: Snapshot) -> str:
    return f"ending ({snapshot.ending.status})" if snapshot.ending else snapshot.status


def _note_code(draft: Draft) -> None:
    """Guards or mappings were corrected since the last decision: the shape is the same, the code is not."""
    current = str(draft.definition.fingerprint)
    if draft.fingerprint != current:
        draft.say("code_changed", **{"was": draft.fingerprint, "is": current})
        draft.fingerprint = current


def outstanding(snapshot: Snapshot) -> tuple[Effect, ...]:
    """Effects not yet done, from the snapshot alone: what a takeover has to perform."""
    return tuple(RunAttempt(path, frame.attempt) for path, frame in snapshot.open.items() if frame.run == "flying")


# -- apply: one function per input; a text refuses it


def _claimed(draft: Draft, input: inputs.Claimed) -> None:
    activity.lost(draft, input.paths)


def _attempt_ended(draft: Draft, input: inputs.AttemptEnded) -> None:
    activity.ended(draft, input)


def _attempt_deferred(draft: Draft, input: inputs.AttemptDeferred) -> None:
    activity.deferred(draft, input)


def _handed_back(draft: Draft, input: inputs.HandedBack) -> None:
    for path, attempt in input.attempts:
        activity.deferred(draft, inputs.AttemptDeferred(path, attempt, "the worker shuts down"))


def _any_deferred(draft: Draft, input: inputs.HandedBack) -> bool:
    return any("deferred" in draft.timers.get(path, ()) for path, _ in input.attempts)


def _flying(draft: Draft, path: str, attempt: int) -> Frame | None:
    frame = draft.open.get(path)
    return frame if frame is not None and frame.attempt == attempt and frame.run in ("flying", "stopping") else None


def _step_recorded(draft: Draft, input: inputs.StepRecorded) -> None:
    frame = _flying(draft, input.path, input.attempt)
    if frame is not None:
        draft.put(input.path, replace(frame, steps={**frame.steps, input.name: input.result}))
        draft.say("step_recorded", input.path, name=input.name)


def _heartbeat(draft: Draft, input: inputs.Heartbeat) -> None:
    frame = _flying(draft, input.path, input.attempt)
    if frame is not None:
        draft.put(input.path, replace(frame, progress=input.progress))


def _nothing(draft: Draft, _: Any) -> None:
    """The rules see what has come."""


def _pause(draft: Draft, input: inputs.Pause) -> None:
    draft.pause = Pause(input.actor, input.reason, draft.now, input.by_parent)
    draft.say("paused", **inputs.said_of(input))
    family.pass_on(draft, "pause", input)


def _resume(draft: Draft, input: inputs.Resume) -> str | None:
    if input.by_parent and draft.pause is not None and not draft.pause.by_parent:
        return "it was paused by itself, and is resumed by itself"
    draft.pause = None
    draft.status = "running" if draft.state else "created"
    draft.say("resumed", **inputs.said_of(input))
    family.pass_on(draft, "resume", input)
    return None


def _cancel(draft: Draft, input: inputs.Cancel) -> None:
    ending.begin(draft, "cancelled", input.reason, compensate=input.compensate)


def _terminate(draft: Draft, input: inputs.Terminate) -> None:
    """While an ending is under way: the undo that runs is stopped, the rest is listed as not done."""
    under_way = draft.ending is not None
    failure = draft.ending.failure if draft.ending else None
    ending.begin(draft, "terminated", input.reason, failure, compensate=input.compensate and not under_way, handlers=not under_way)
    if under_way:
        compensation.abandon(draft, "terminated by an operator")


def _release(draft: Draft, input: inputs.Release) -> None:
    draft.say("released", **inputs.said_of(input))


def _fire_timer(draft: Draft, input: inputs.FireTimer) -> str | None:
    purposes = [p for p in draft.timers.get(input.path, {}) if input.purpose in ("", p)]
    if not purposes:
        there = ", ".join(f"{path} ({', '.join(found)})" for path, found in draft.timers.items())
        what = f"{input.purpose} timer" if input.purpose else "timer"
        return f"there is no {what} at {input.path}; there are: {there or 'none'}"
    for purpose in purposes:
        draft.set_timer(input.path, purpose, draft.now, **inputs.said_of(input))
    return None


def _cancel_node(draft: Draft, input: inputs.CancelNode) -> str | None:
    return operate.cancel(draft, input.path, input.then, **inputs.said_of(input))


def _complete_node(draft: Draft, input: inputs.CompleteNode) -> str | None:
    return operate.complete(draft, input.path, **inputs.said_of(input))


def _add_items(draft: Draft, input: inputs.AddItems) -> str | None:
    return operate.add_items(draft, input.path, input.items, **inputs.said_of(input))


def _set_data(draft: Draft, input: inputs.SetData) -> str | None:
    return operate.set_data(draft, input.changes, **inputs.said_of(input))


def _archive(draft: Draft, input: inputs.Archive) -> None:
    draft.say("archived", **inputs.said_of(input))


def _as_seen(apply: Callable[[Draft, Any], str | None]) -> Callable[[Draft, Any], str | None]:
    """What operators ask of an instance as they saw it is refused once it has moved on."""

    def applied(draft: Draft, input: inputs.Requested) -> str | None:
        at = draft.before.revision
        if input.if_revision not in (None, at):
            return f"{inputs.MOVED_ON}: it is at revision {at}, not {input.if_revision}"
        return apply(draft, input)

    return applied


_ASKED: dict[type[Any], Callable[[Draft, Any], str | None]] = {
    inputs.Pause: _pause,
    inputs.Resume: _resume,
    inputs.Cancel: _cancel,
    inputs.Terminate: _terminate,
    inputs.Redrive: reposition.redrive,
    inputs.SetState: reposition.set_state,
    inputs.Release: _release,
    inputs.FireTimer: _fire_timer,
    inputs.CancelNode: _cancel_node,
    inputs.CompleteNode: _complete_node,
    inputs.AddItems: _add_items,
    inputs.SetData: _set_data,
    inputs.Archive: _archive,
}
_APPLY: dict[type[Any], Callable[[Draft, Any], str | None]] = {
    inputs.Claimed: _claimed,
    inputs.AttemptEnded: _attempt_ended,
    inputs.AttemptDeferred: _attempt_deferred,
    inputs.HandedBack: _handed_back,
    inputs.StepRecorded: _step_recorded,
    inputs.Heartbeat: _heartbeat,
    inputs.SignalArrived: _nothing,
    inputs.HoldGranted: hold.granted,
    inputs.ChildReported: child.reported,
    inputs.TaskActed: task.acted,
    inputs.Tick: _nothing,
    **{kind: _as_seen(apply) for kind, apply in _ASKED.items()},
}

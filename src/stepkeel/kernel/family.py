"""Parents and children: what an instance tells those it has begun, and the one that began it.

| this instance | tells | then |
|---|---|---|
| closes a node whose child has not ended | the child: cancel, and undo what it has done | it is none of our business any more |
| is ending | each child: cancel, or terminate, undoing as it does itself | waits for their reports, at most 30 s |
| is paused, resumed | each child the same; one that was paused by itself stays so | - |
| has ended | its parent: how, with its data | - |
| comes to the state, or the outcome, that its parent waits for | its parent, once | goes on |

A child that is detached knows no parent, and no frame knows of it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import address
from stepkeel.model.effect import ControlChild, ReportToParent
from stepkeel.model.input import ChildReported, Pause, Resume
from stepkeel.model.snapshot import TERMINAL, Child, Frame, Parent

__all__ = ["GRACE", "OUTCOMES", "has_any", "leaves", "leaving", "pass_on", "report"]

GRACE = 30_000_000
OUTCOMES = {
    "completed": "activity_completed",
    "failed": "activity_failed",
    "skipped": "activity_skipped",
    "waiting": "activity_waiting",
    "retried": "activity_retried",
}


def _children(draft: Draft) -> list[tuple[str, Child]]:
    """Those that have not ended, as far as is known."""
    return [(p, f.child) for p, f in draft.open.items() if f.child is not None and f.child.id and not f.child.over]


def has_any(draft: Draft) -> bool:
    return bool(_children(draft))


def pass_on(draft: Draft, name: Literal["pause", "resume"], request: Pause | Resume) -> None:
    """What is asked of an instance, to its children too: with the same actor and reason, because of it."""
    for path, child in _children(draft):
        draft.effects.append(ControlChild(path, child.id, name, replace(request, by_parent=True)))


def leaves(draft: Draft, path: str, frame: Frame) -> bool:
    """While this instance is ending: True as long as the child there, told to end, is waited for."""
    child = frame.child
    if child is None or child.over or not child.id:
        return False
    if frame.run != "leaving":
        draft.dismiss(path, child, "what began it is ending")
        draft.put(path, replace(frame, run="leaving"))
        draft.drop_timers(path)
        draft.set_timer(path, "grace", draft.now + GRACE)
        return True
    if draft.timers.get(path, {}).get("grace", 0) > draft.now:
        return True
    draft.say("timer_fired", path, purpose="grace")
    draft.put(path, replace(frame, child=replace(child, over=True)))
    return False


def leaving(draft: Draft) -> frozenset[str]:
    """Where children that were told to end are waited for."""
    return frozenset(path for path, frame in draft.open.items() if frame.run == "leaving")


def report(draft: Draft) -> None:
    """At the end of a decision: tell the parent what it waits for, if that has come about now."""
    parent = draft.parent
    if parent is None:
        return
    if draft.status in TERMINAL:
        if any(e.type == draft.status for e in draft.events):  # not where it is archived, say
            _tell(draft, parent)
    elif parent.until != "end" and not parent.told and _come_about(draft, parent):
        draft.parent = replace(parent, told=True)
        _tell(draft, parent)


def _tell(draft: Draft, parent: Parent) -> None:
    failure = None
    if draft.failure is not None:
        failure = replace(draft.failure, open={}, undo_errors=(), undone=())
    told = ChildReported(
        parent.path, draft.before.id, draft.status, draft.label or draft.state, draft.reason, Raw(draft.data), failure
    )
    draft.effects.append(ReportToParent(parent.id, told))


def _come_about(draft: Draft, parent: Parent) -> bool:
    if parent.until == "outcome":
        return any(e.type == OUTCOMES.get(parent.mark) for e in draft.events)
    entered = [address(e.path) for e in draft.events if e.type == "state_entered"]
    states = draft.definition.states
    return any(name == parent.mark or (name in states and states[name].label == parent.mark) for name in entered)

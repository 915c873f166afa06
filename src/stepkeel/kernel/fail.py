"""When a node has finally failed: who takes the failure, from the inside outwards. First match wins.

| who | then |
|---|---|
| its fallback; it is optional | goes on by itself (activity.py) |
| a join around it that can do without its branch | the branch has ended `failed` (join.py) |
| a failure reaction of the state, if none is already at work there | fires; one that leads elsewhere first stops what flies |
| nobody | the instance ends `failed` |
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.kernel import compensation, ending, join, reaction, region
from stepkeel.kernel.data import PureFailed, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.node import activity
from stepkeel.kernel.path import address, is_reaction, reaction_of
from stepkeel.model.node import ActivityNode
from stepkeel.model.snapshot import Failure

__all__ = ["fail", "fail_in_ending"]


def _failed(draft: Draft) -> tuple[str, Failure] | None:
    """The first that has failed and may be judged: while a reaction is at work, only what it does itself."""
    for frame in draft.open.values():
        if frame.run == "failed":
            break
    else:
        return None
    working = next((p for p in draft.open if is_reaction(p)), "")
    failed = ((p, f.error or Failure("failed", "", p)) for p, f in draft.open.items() if f.run == "failed")
    return next(((p, e) for p, e in failed if not working or reaction_of(p) == working), None)


def fail(draft: Draft) -> bool:
    failed = _failed(draft)
    if failed is None:
        return False
    path, failure = failed
    if path.startswith("undo/"):
        compensation.fail_alone(draft, path, failure)
        return True
    place = draft.definition.places.get(address(path))
    node = place.node if place is not None else None
    if isinstance(node, ActivityNode) and activity.recover(draft, path, node, failure):
        return True
    draft.say("activity_failed", path, code=failure.code, message=failure.message)
    if isinstance(node, ActivityNode):
        activity.register_started(draft, path, node)
    if draft.definition.concurrent and join.absorb(draft, path, failure):
        return True
    _outwards(draft, path, failure)
    return True


def _outwards(draft: Draft, path: str, failure: Failure) -> None:
    """Beyond all joins: to the reactions of the state, or to the end."""
    outer = reaction_of(path)
    if outer:
        frame = draft.open.get(outer)
        if frame is not None and frame.seq:
            draft.settle_signal(frame.seq, frame.reason, "failed", f"{failure.code}: {failure.message}")
            draft.put(outer, replace(frame, seq=0))
    own = outer and reaction.reaction_at(draft, outer).trigger == "failure"
    found = None if own or failure.code == "no_progress" else reaction.failure_reaction(draft, failure)
    if found is None:
        ending.begin(draft, "failed", failure=failure)
        return
    if outer:
        region.cancel(draft, outer)
    region.cancel(draft, path)
    try:
        reaction.fire(draft, found, failure, error=replace(failure, path=path))
    except PureFailed as error:
        ending.begin(draft, "failed", failure=pure_failure(path, error))


def fail_in_ending(draft: Draft) -> bool:
    """An undo, or a node of a body that the definition runs at its end, has failed for good."""
    failed = _failed(draft)
    if failed is None:
        return False
    path, failure = failed
    if path.startswith("undo/"):
        compensation.fail(draft, path, failure)
        return True
    place = draft.definition.places.get(address(path))
    if place is not None and isinstance(place.node, ActivityNode) and activity.recover(draft, path, place.node, failure):
        return True
    if not (draft.definition.concurrent and join.absorb(draft, path, failure)):
        ending.handler_failed(draft, path, failure)
    return True

"""When a node has finally failed: who takes the failure, from the inside outwards. First match wins.

| who | then |
|---|---|
| its fallback; it is optional | goes on by itself (activity.py) |
| a join around it that can do without its branch | the branch has ended `failed` (join.py) |
| a failure reaction of a machine around it, none being at work there | fires; one that leads elsewhere first stops what flies |
| nobody | the instance ends `failed` |
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.kernel import compensation, ending, reaction, region
from stepkeel.kernel.absorb import absorb
from stepkeel.kernel.data import PureFailed, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.node import activity
from stepkeel.kernel.path import around, below, is_reaction, machine_of
from stepkeel.model.snapshot import Failure

__all__ = ["fail", "fail_in_ending"]


def _failed(draft: Draft) -> tuple[str, Failure] | None:
    """The first that has failed and may be judged: while a reaction is at work, only what it does itself."""
    for frame in draft.open.values():
        if frame.run == "failed":
            break
    else:
        return None
    working = [p for p in draft.open if is_reaction(p)]
    for path, frame in draft.open.items():
        if frame.run == "failed" and all(
            path.startswith("undo/") or below(path, w) or not _in_machine_of(path, w) for w in working
        ):
            return path, frame.error or Failure("failed", "", path)
    return None


def _in_machine_of(path: str, reaction: str) -> bool:
    machine = machine_of(reaction)
    return not machine or below(path, machine)


def fail(draft: Draft) -> bool:
    failed = _failed(draft)
    if failed is None:
        return False
    path, failure = failed
    if path.startswith("undo/"):
        compensation.fail_alone(draft, path, failure)
        return True
    node = activity.activity_node(draft, path)
    if node is not None and activity.recover(draft, path, node, failure):
        return True
    draft.say("activity_failed", path, code=failure.code, message=failure.message)
    if node is not None:
        activity.register_started(draft, path, node)
    _outwards(draft, path, failure)
    return True


def _outwards(draft: Draft, path: str, failure: Failure) -> None:
    """From the node outwards: each join is asked whether it can do without, each machine whether it knows what to do."""
    inner = path
    for holder, part in around(path) if draft.definition.concurrent or draft.definition.nested else ():
        frame = draft.open.get(holder)
        if frame is None:
            continue
        if frame.round is not None and absorb(draft, holder, part, failure):
            return
        if frame.machine is not None:
            if _react(draft, holder, path, inner, failure):
                return
            inner = holder
    if not _react(draft, "", path, inner, failure):
        ending.begin(draft, "failed", failure=failure)


def _react(draft: Draft, machine: str, path: str, inner: str, failure: Failure) -> bool:
    """A failure reaction of the machine's state takes it; not one of whose own work it is a part."""
    outer = next((p for p in draft.open if is_reaction(p) and machine_of(p) == machine and below(path, p) and p != path), "")
    if outer:
        frame = draft.open[outer]
        if frame.seq:
            draft.settle_signal(frame.seq, frame.reason, "failed", f"{failure.code}: {failure.message}")
            draft.put(outer, replace(frame, seq=0))
    own = outer and reaction.reaction_at(draft, outer).trigger == "failure"
    found = None if own or failure.code == "no_progress" else reaction.failure_reaction(draft, failure, machine)
    if found is None:
        return False
    if outer:
        region.cancel(draft, outer)
    region.cancel(draft, inner)
    try:
        reaction.fire(draft, found, failure, error=replace(failure, path=inner), machine=machine)
    except PureFailed as error:
        ending.begin(draft, "failed", failure=pure_failure(path, error))
    return True


def fail_in_ending(draft: Draft) -> bool:
    """An undo, or a node of a body that the definition runs at its end, has failed for good."""
    failed = _failed(draft)
    if failed is None:
        return False
    path, failure = failed
    if path.startswith("undo/"):
        compensation.fail(draft, path, failure)
        return True
    node = activity.activity_node(draft, path)
    if node is not None and activity.recover(draft, path, node, failure):
        return True
    for holder, part in around(path):
        frame = draft.open.get(holder)
        if frame is not None and frame.round is not None and absorb(draft, holder, part, failure):
            return True
    ending.handler_failed(draft, path, failure)
    return True

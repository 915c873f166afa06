"""hold: a body that runs while slots are held (kernel/hold.py). Its frame is `held` while it waits, then `holding`.

| run | comes | then |
|---|---|---|
| ready | it lacks a slot | a ticket in the queue of that pool; held |
| ready | it has them all | holding, the first node of the body ready |
| ready | a key or an amount raises, or makes no sense | failed |
| held | the slot | ready |
| held | its timeout | failed (`hold_timeout`) |
| holding | its body is done, or it is closed otherwise | the slots are given back in that very commit |
| holding | the instance has failed and is redriven | ready: it asks anew, what stands in it does not begin before |
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.kernel import hold
from stepkeel.kernel.data import PureFailed, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import open_body
from stepkeel.kernel.path import below
from stepkeel.model.node import HoldNode
from stepkeel.model.snapshot import Failure, Frame

__all__ = ["behind", "open", "timed_out"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.node_at(path)
    assert isinstance(node, HoldNode)
    try:
        waits_for = hold.obtain(draft, path, node.pools)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    if waits_for:
        if node.timeout is not None and "timeout" not in draft.timers.get(path, {}):
            draft.set_timer(path, "timeout", draft.now + node.timeout)
        draft.put(path, replace(frame, run="held", reason=waits_for))
        return
    draft.drop_timers(path, "timeout")
    draft.put(path, Frame(run="holding"))
    if not any(below(other, path) and other != path for other in draft.open):
        open_body(draft, path, node.body)


def timed_out(draft: Draft, path: str, frame: Frame) -> None:
    """It has waited long enough."""
    draft.give_back(path)
    draft.fail(path, Failure("hold_timeout", f"no slot of {frame.reason} in time", path, kind="permanent"))


def behind(draft: Draft, path: str, body: str) -> None:
    """Its body is done."""
    draft.closing.append(path)

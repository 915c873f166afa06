"""during: a body that is offered only while a guard holds. Its frame is `open` while the body is, `held` while it is not offered.

| run | guard | then |
|---|---|---|
| ready | holds | open, the first node of the body ready |
| ready | does not hold | wait: held · skip: node_skipped, closes · fail: failed (`not_offered`) |
| held | comes to hold | open, the first node of the body ready |
| held | nothing can change that any more | failed (`stuck`, wait.py) |
| open | holds no more, nothing in flight in it | what waits in it is closed; then as if it were ready |
| any | raises | failed |
"""

from __future__ import annotations

from stepkeel.kernel import region
from stepkeel.kernel.data import PureFailed, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import open_body
from stepkeel.kernel.path import below
from stepkeel.model.node import DuringNode
from stepkeel.model.snapshot import Failure, Frame

__all__ = ["behind", "judge", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = _node(draft, path)
    assert node is not None
    try:
        offered = holds(draft, node.guard, at=path)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    if offered:
        draft.put(path, Frame(run="open"))
        open_body(draft, path, node.body)
    elif node.otherwise == "wait":
        draft.put(path, Frame(run="held", reason=f"offered while {node.guard.name}"))
    elif node.otherwise == "skip":
        draft.say("node_skipped", path, reason=f"{node.guard.name} does not hold")
        draft.closing.append(path)
    else:
        text = f"{node.guard.name} does not hold"
        draft.fail(path, Failure("not_offered", text, path, kind="permanent"))


def judge(draft: Draft) -> bool:
    """Offer the first body whose guard has come to hold, or withdraw the first whose guard holds no more."""
    for path, frame in draft.open.items():
        node = _node(draft, path) if frame.run in ("held", "open") else None
        if node is None:
            continue
        try:
            offered = holds(draft, node.guard, at=path)
        except PureFailed as error:
            region.cancel(draft, path)
            draft.put(path, frame)
            draft.fail(path, pure_failure(path, error))
            return True
        if frame.run == "open" and not offered and _waits(draft, path):
            region.cancel(draft, path)
            open(draft, path, frame)
            return True
        if frame.run == "held" and offered:
            open(draft, path, frame)
            return True
    return False


def behind(draft: Draft, path: str, body: str) -> None:
    """Its body is done."""
    draft.closing.append(path)


def _waits(draft: Draft, path: str) -> bool:
    """Something of its body is open, and nothing in flight."""
    inner = [f for p, f in draft.open.items() if p != path and below(p, path)]
    return bool(inner) and not any(f.run in ("flying", "stopping", "ready", "failed") for f in inner)


def _node(draft: Draft, path: str) -> DuringNode | None:
    node = draft.node_at(path)
    return node if isinstance(node, DuringNode) else None

"""wait: for a signal, a time, a condition on the data, or whichever comes first.

| run | comes | then |
|---|---|---|
| ready | none declared, or the condition holds | closes at once |
| ready | - | waiting; timers set; signals judge it as a receiver (signal.py) |
| waiting | its signal | data mapped, closes |
| waiting | its time | closes |
| waiting | something that makes its condition hold | closes |
| waiting | nothing else in the instance can move, and so the data cannot change | failed (`stuck`) |
"""

from __future__ import annotations

from datetime import datetime, timedelta

from stepkeel.errors import BadRequest
from stepkeel.kernel.data import PureFailed, ask, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.model.function import Function
from stepkeel.model.instant import to_micros, to_span
from stepkeel.model.node import DuringNode, ForEachNode, WaitNode
from stepkeel.model.snapshot import Failure, Frame

__all__ = ["judge", "open", "stuck"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.node_at(path)
    assert isinstance(node, WaitNode)
    try:
        due = _due(draft, path, node)
        met = node.condition is not None and holds(draft, node.condition, at=path)
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    if met:
        _met(draft, path)
        return
    draft.put(path, Frame(run="waiting", since=draft.revision))
    if due is not None:
        draft.set_timer(path, *due)
    elif not node.signal and node.condition is None:
        draft.closing.append(path)


def judge(draft: Draft) -> bool:
    """Close the first open wait whose condition has come to hold."""
    for path, node in _conditional(draft):
        try:
            if holds(draft, node.condition, at=path):
                _met(draft, path)
                return True
        except PureFailed as error:
            draft.fail(path, pure_failure(path, error))
            return True
    return False


def stuck(draft: Draft) -> bool:
    """Fail the first of those that wait for a condition if only such are left: what could make it hold?"""
    waits = [(path, node.condition) for path, node in _conditional(draft) if not node.signal]
    for path, frame in draft.open.items():
        node = draft.node_at(path) if frame.run in ("held", "open") else None
        if isinstance(node, DuringNode) and frame.run == "held":
            waits.append((path, node.guard))
        elif isinstance(node, ForEachNode) and isinstance(node.stays, Function):
            waits.append((path, node.stays))
    if not waits or len(waits) < sum(f.run not in ("open", "holding") for f in draft.open.values()):
        return False
    path = waits[0][0]
    names = ", ".join(f"{p} for {guard.name}" for p, guard in waits if guard)
    text = f"nothing can change that any more, and it waits at {names}"
    draft.fail(path, Failure("stuck", text, path, kind="permanent"))
    return True


def _met(draft: Draft, path: str) -> None:
    draft.say("wait_ended", path, by="condition")
    draft.closing.append(path)


def _conditional(draft: Draft) -> list[tuple[str, WaitNode]]:
    found: list[tuple[str, WaitNode]] = []
    for path, frame in draft.open.items():
        node = draft.node_at(path) if frame.run == "waiting" else None
        if isinstance(node, WaitNode) and node.condition is not None:
            found.append((path, node))
    return found


def _due(draft: Draft, path: str, node: WaitNode) -> tuple[str, int] | None:
    if node.delay is not None:
        return "delay", _later(draft, node, node.delay)
    if node.delay_of is not None:
        span = ask(node.delay_of, draft.view(path))
        if not isinstance(span, timedelta | int | float):
            raise PureFailed(f"{node.delay_of.name} gave {span!r}, no timedelta")
        return "delay", _later(draft, node, max(0, to_span(span)))
    if node.until_of is not None:
        at = ask(node.until_of, draft.view(path))
        if not isinstance(at, datetime):
            raise PureFailed(f"{node.until_of.name} gave {at!r}, no datetime")
        try:
            return "until", max(draft.now, to_micros(at))
        except BadRequest as error:
            raise PureFailed(f"{node.until_of.name}: {error}") from error
    return None


def _later(draft: Draft, node: WaitNode, span: int) -> int:
    if node.calendar is None:
        return draft.now + span
    try:
        return node.calendar.add(draft.now, span)
    except BadRequest as error:
        raise PureFailed(str(error)) from error

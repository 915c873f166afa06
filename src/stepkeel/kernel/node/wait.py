"""wait: for a signal, a time, or whichever comes first.

| run | comes | then |
|---|---|---|
| ready | neither declared | closes at once |
| ready | - | waiting; timers set; signals judge it as a receiver (signal.py) |
| waiting | its signal | data mapped, closes |
| waiting | its time | closes |
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from stepkeel.errors import BadRequest
from stepkeel.kernel.data import PureFailed, ask, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import address
from stepkeel.model.instant import to_micros, to_span
from stepkeel.model.node import WaitNode
from stepkeel.model.snapshot import Frame

__all__ = ["open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.definition.places[address(path)].node
    assert isinstance(node, WaitNode)
    try:
        due = _due(draft, node)
    except PureFailed as error:
        draft.put(path, replace(frame, run="failed", error=pure_failure(path, error)))
        return
    draft.put(path, Frame(run="waiting", since=draft.revision))
    if due is not None:
        draft.set_timer(path, *due)
    elif not node.signal:
        draft.closing.append(path)


def _due(draft: Draft, node: WaitNode) -> tuple[str, int] | None:
    if node.delay is not None:
        return "delay", draft.now + node.delay
    if node.delay_of is not None:
        span = ask(node.delay_of, draft.view())
        if not isinstance(span, timedelta | int | float):
            raise PureFailed(f"{node.delay_of.name} gave {span!r}, no timedelta")
        return "delay", draft.now + max(0, to_span(span))
    if node.until_of is not None:
        at = ask(node.until_of, draft.view())
        if not isinstance(at, datetime):
            raise PureFailed(f"{node.until_of.name} gave {at!r}, no datetime")
        try:
            return "until", max(draft.now, to_micros(at))
        except BadRequest as error:
            raise PureFailed(f"{node.until_of.name}: {error}") from error
    return None

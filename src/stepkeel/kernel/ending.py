"""How an instance ends.

| stage | does | next |
|---|---|---|
| settling | closes what waits, stops what flies and waits for it; what succeeds after all is undone too | undoing, or closed |
| undoing | compensations, last finished first (compensation.py) | closed |
| closed | final status, one event; signals left over are ignored | - |
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepkeel.kernel import compensation
from stepkeel.kernel.draft import Draft
from stepkeel.model.effect import End, StopAttempt
from stepkeel.model.snapshot import EndingStage, Failure

__all__ = ["advance", "begin", "close", "needs_nobody"]


def begin(draft: Draft, status: str, reason: str = "", failure: Failure | None = None, *, compensate: bool = True) -> None:
    """Set an ending. What is open stays noted in the failure, for redrive."""
    if failure is not None:
        failure = replace(failure, open=dict(draft.open))
    draft.ending = EndingStage(status, "settling", reason, failure, compensate and status != "completed")
    draft.pause = None
    draft.status = "running"
    draft.say("ending_began", status=status, **({"reason": reason} if reason else {}))


def advance(draft: Draft) -> bool:
    """One step towards the end; False when it has to wait for an attempt or an undo's timer."""
    ending = draft.ending
    assert ending is not None
    if ending.stage == "settling":
        if not _settle(draft):
            return False
        if ending.compensate and draft.undo:
            draft.ending = replace(ending, stage="undoing")
            return True
        close(draft)
        return True
    if any(path.startswith("undo/") for path in draft.open):
        return False
    if not compensation.open_next(draft):
        close(draft)
    return True


def needs_nobody(draft: Draft) -> bool:
    """True when the ending has nothing to stop and nothing to undo: it can be closed without the definition."""
    assert draft.ending is not None
    flying = any(frame.run in ("flying", "stopping") for frame in draft.open.values())
    return not flying and not (draft.ending.compensate and draft.undo)


def _settle(draft: Draft) -> bool:
    """True when nothing of the forward way is in flight any more."""
    waiting = False
    for path, frame in list(draft.open.items()):
        if frame.run == "flying":
            draft.put(path, replace(frame, run="stopping"))
            draft.effects.append(StopAttempt(path, frame.attempt))
            waiting = True
        elif frame.run == "stopping":
            waiting = True
        else:
            if frame.seq:
                draft.settle_signal(frame.seq, frame.reason, "failed", "the instance ended")
            draft.drop(path)
    for path in list(draft.timers):
        draft.drop_timers(path)
    return not waiting


def close(draft: Draft) -> None:
    ending = draft.ending
    assert ending is not None
    status: Any = ending.status
    draft.status = status
    draft.reason = ending.reason
    draft.failure = ending.failure
    draft.ending = None
    for path in list(draft.open):
        draft.drop(path)
    for path in list(draft.timers):
        draft.drop_timers(path)
    detail: dict[str, Any] = {"reason": ending.reason} if ending.reason else {}
    if ending.failure is not None and status in ("failed", "terminated"):
        detail |= {"code": ending.failure.code, "message": ending.failure.message}
    draft.say(status, **detail)
    for signal in draft.signals:
        draft.settle_signal(signal.seq, signal.name, "ignored", "the instance ended")
    draft.effects.append(End())

"""How an instance ends.

| stage | does | next |
|---|---|---|
| settling | closes what waits, stops what flies and waits for it; what succeeds after all is undone too | undoing |
| | tells children to end, and waits for their reports, for at most 30 s (family.py) | |
| undoing | compensations, last finished first (compensation.py); none on completion, or if not asked for | on_failure, on_cancel |
| on_failure, on_cancel | the definition's body of that name, for a failed or for a cancelled or terminated ending | finally |
| finally | the definition's body of that name, whatever the ending | closed |
| closed | final status, one event; signals left over are ignored | - |
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import replace

from stepkeel.kernel import compensation, family, machine, region
from stepkeel.kernel.draft import READY, Draft
from stepkeel.model.definition import Definition, Ending
from stepkeel.model.effect import End
from stepkeel.model.node import Node
from stepkeel.model.snapshot import EndingStage, Failure

__all__ = ["advance", "begin", "close", "end_machine", "handler_body", "handler_failed", "needs_nobody"]


Handler = Literal["on_failure", "on_cancel", "finally"]
_HANDLERS: dict[str, tuple[Handler, ...]] = {
    "failed": ("on_failure", "finally"),
    "cancelled": ("on_cancel", "finally"),
    "terminated": ("on_cancel", "finally"),
    "completed": ("finally",),
}


def begin(
    draft: Draft, status: str, reason: str = "", failure: Failure | None = None, *, compensate: bool = True, handlers: bool = True
) -> None:
    """Set an ending. What is open stays noted in the failure, for redrive."""
    if failure is not None:
        failure = replace(failure, open=dict(draft.open))
    draft.ending = EndingStage(status, "settling", reason, failure, compensate and status != "completed", handlers)
    draft.pause = draft.moving = None
    draft.status = "running"
    draft.say("ending_began", status=status, **({"reason": reason} if reason else {}))


def end_machine(draft: Draft, m: str, how: Ending, where: str) -> None:
    """A machine ends: the instance with its own; of one within a body the node is done, or has failed."""
    failure = Failure(how.code or "failed", how.reason or f"ended in {where}", m or where, kind="business")
    if not m or how.status == "terminated":
        begin(draft, how.status, how.reason, failure if how.status == "failed" else None)
        return
    machine.drop_deadlines(draft, m)
    if how.status == "failed":
        machine.fail_machine(draft, m, failure)
    else:
        draft.closing.append(m)


def advance(draft: Draft) -> bool:
    """One step towards the end; False when it has to wait for an attempt or a timer."""
    ending = draft.ending
    assert ending is not None
    if ending.stage == "settling":
        if not _settle(draft):
            return False
        draft.ending = replace(ending, stage="undoing")
        limit = draft.definition.compensation_timeout
        if limit is not None and ending.compensate and draft.undo:
            draft.set_timer(compensation.ALL, "timeout", draft.now + limit)
        return True
    if draft.open:
        return False
    if ending.stage == "undoing" and ending.compensate and compensation.open_next(draft):
        return True
    _next_handler(draft, ending)
    return True


def _next_handler(draft: Draft, ending: EndingStage) -> None:
    """Begin the next body of the definition that this ending calls for, or close."""
    draft.drop_timers(compensation.ALL)
    stages = _HANDLERS[ending.status]
    begun = stages.index(ending.stage) + 1 if ending.stage in stages else 0
    for stage in stages[begun:] if ending.handlers else ():
        body = handler_body(draft.definition, stage)
        if body:
            draft.ending = replace(ending, stage=stage)
            draft.put(f"{_firing(draft, stage)}/{body[0].key}", READY)
            return
    close(draft)


def _firing(draft: Draft, stage: str) -> str:
    """Where such a body runs: another place, and so with other keys, when it runs again after a redrive."""
    base = f"!{stage}"
    n = draft.fired.get(base, 0) + 1
    draft.fired = {**draft.fired, base: n}
    return base if n == 1 else f"{base}#{n}"


def handler_body(definition: Definition, stage: str) -> tuple[Node, ...]:
    return {"on_failure": definition.on_failure, "on_cancel": definition.on_cancel, "finally": definition.finally_}[stage]


def handler_failed(draft: Draft, path: str, failure: Failure) -> None:
    """A node of such a body failed for good: the rest of the body is left out, and the ending tells of it."""
    ending = draft.ending
    assert ending is not None
    draft.say("activity_failed", path, code=failure.code, message=failure.message)
    region.cancel(draft, path.partition("/")[0])
    if ending.failure is None:
        draft.ending = replace(ending, status="failed", failure=replace(failure, path=path))
    else:
        errors = (*ending.failure.undo_errors, replace(failure, path=path))
        draft.ending = replace(ending, failure=replace(ending.failure, undo_errors=errors))


def needs_nobody(draft: Draft) -> bool:
    """True when the ending has nothing to stop and nothing to undo: it can be closed without the definition."""
    assert draft.ending is not None
    definition = draft.definition
    handlers = draft.ending.handlers and (definition.on_failure or definition.on_cancel or definition.finally_)
    return not draft.in_flight() and not handlers and not (draft.ending.compensate and draft.undo) and not family.has_any(draft)


def _settle(draft: Draft) -> bool:
    """True when nothing of the forward way is in flight any more."""
    for path, frame in list(draft.open.items()):
        if frame.run in ("flying", "stopping"):
            draft.stop(path, frame)
            continue
        if frame.child is not None and family.leaves(draft, path, frame):
            continue
        if frame.seq:
            draft.settle_signal(frame.seq, frame.reason, "failed", "the instance ended")
        draft.drop(path)
    left = family.leaving(draft)
    for path in list(draft.timers):
        if path not in left:
            draft.drop_timers(path)
    return not left and not draft.in_flight()


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
    for path in list(draft.tickets):
        draft.give_back(path)
    if status != "failed":  # which may be redriven, and go on with what items have given
        draft.drop_results()
    detail: dict[str, Any] = {"reason": ending.reason} if ending.reason else {}
    if ending.failure is not None and status in ("failed", "terminated"):
        detail |= {"code": ending.failure.code, "message": ending.failure.message}
    draft.say(status, **detail)
    for signal in draft.signals:
        draft.settle_signal(signal.seq, signal.name, "ignored", "the instance ended")
    draft.effects.append(End())

"""activity: user code, attempt by attempt.

| run | comes | then |
|---|---|---|
| ready | what it is to be given raises, or cannot be stored | failed |
| ready | room | flying, RunAttempt |
| ready | a limit, no slot yet | held, until its slot is granted; given back with every attempt (hold.py) |
| flying | done | data merged, undo registered, node closes |
| flying | wait | data merged, undo registered, waiting (until) |
| flying | again, failed | retry.py: ready (attempt + 1), backing_off (retry), or failed |
| flying | break | data merged, undo registered, the innermost loop closes; outside one: failed (`break_outside_loop`) |
| flying | complete, cancel, terminate | data merged, undo registered, the instance ends so |
| flying | deferred | deferred (deferred): same attempt, nothing burnt |
| flying | claimed by another worker | ready again, `lost` + 1; more than 5 in a row: failed |
| stopping | done | undo registered, data dropped |
| stopping | stopped, failed | undo registered if compensate_when="started" |
| failed | - | fallback, optional, else the state's reactions and the ending (settle.py) |
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel import compensation, ending, graph, hold, join, retry
from stepkeel.kernel.data import PureFailed, apply_into, pure_failure
from stepkeel.kernel.draft import FLYING, READY, Draft
from stepkeel.kernel.merge import MergeFailed, write
from stepkeel.kernel.node import loop
from stepkeel.model.effect import RunAttempt
from stepkeel.model.input import AttemptDeferred, AttemptEnded
from stepkeel.model.node import Activity, ActivityNode
from stepkeel.model.snapshot import NOTHING, Failure, Frame

__all__ = ["MAX_LOST", "activity_at", "activity_node", "deferred", "ended", "lost", "open", "recover", "register_started"]

MAX_LOST = 5


def activity_at(draft: Draft, path: str, node: ActivityNode | None = None) -> Activity | None:
    """The activity that runs at a path: the node's, its fallback, or what an undo entry names."""
    if path.startswith("undo/"):
        entry = compensation.entry_at(draft, path)
        return compensation.undo_activity(draft, entry) if entry else None
    node = node or activity_node(draft, path)
    if node is None:
        return None
    frame = draft.open.get(path)
    return node.activity.fallback if frame is not None and frame.fell_back else node.activity


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = activity_node(draft, path)
    activity = activity_at(draft, path, node)
    if activity is not None and (pools := activity.pools + hold.steps_of(draft, path)):
        try:
            waits_for = hold.obtain(draft, path, pools)
        except PureFailed as error:
            draft.fail(path, pure_failure(path, error))
            return
        if waits_for:
            draft.put(path, replace(frame, run="held", reason=waits_for))
            return
        frame = replace(frame, reason="")
    if node is not None and (node.given is not None or node.fallback_given is not None) and frame.input is NOTHING:
        function = (frame.fell_back and node.fallback_given) or node.given
        try:
            frame = frame if function is None else replace(frame, input=graph.given(draft, path, function))
        except PureFailed as error:
            draft.fail(path, pure_failure(path, error))
            return
    if frame is READY or frame == READY:
        flying = FLYING if activity is None or activity.deadline is None else Frame(first_at=draft.now)
    else:
        flying = replace(frame, run="flying", first_at=frame.first_at or (draft.now if activity and activity.deadline else 0))
    draft.put(path, flying)
    draft.effects.append(RunAttempt(path, flying.attempt))


def ended(draft: Draft, result: AttemptEnded) -> None:
    """Take the result of an attempt; a stale one (no such path, or another attempt) is dropped."""
    frame = draft.open.get(result.path)
    if frame is None or frame.attempt != result.attempt or frame.run not in ("flying", "stopping"):
        return
    if frame.run == "stopping":
        _stopped(draft, result)
        return
    draft.give_back(result.path)
    if result.outcome == "failed":
        assert result.failure is not None
        _failed(draft, result, frame, result.failure)
        return
    if result.outcome == "break" and not loop.around(draft, result.path) and not result.path.startswith("undo/"):
        _failed(draft, result, frame, Failure("break_outside_loop", "Break outside a loop", kind="permanent"))
        return
    before = draft.record(result.path) if result.base is NOTHING else result.base
    if result.data is not None and not (draft.definition.concurrent and join.loose_above(draft, result.path)):
        try:
            write(draft, result.path, result.data, before)
        except MergeFailed as error:
            _failed(draft, result, frame, Failure(error.code, str(error), kind="permanent"))
            return
    if result.outcome == "again":
        assert result.failure is not None
        _failed(draft, result, frame, result.failure)
    elif result.outcome == "stopped":
        # Nobody asked for it: the worker lost its trust window, say. The node starts again.
        draft.say("activity_stopped", result.path, attempt=result.attempt)
        draft.put(result.path, replace(frame, run="ready"))
    else:
        _succeeded(draft, result, frame, before)


def _succeeded(draft: Draft, result: AttemptEnded, frame: Frame, before: Raw) -> None:
    path = result.path
    node = activity_node(draft, path)
    if node is not None and not frame.fell_back:
        compensation.register(draft, path, node, before, Raw(result.data) if result.data else before, result.result)
    if node is not None and node.gives:
        join.keep_result(draft, path, result.result)
    if node is not None and result.outcome == "done" and not _brought(draft, path, node, result.result):
        return
    if result.outcome == "wait":
        draft.say("activity_waiting", path, reason=result.reason)
        draft.put(path, replace(frame, run="waiting", reason=result.reason))
        if result.until is not None:
            draft.set_timer(path, "until", result.until)
        elif result.delay is not None:
            draft.set_timer(path, "until", draft.now + result.delay)
        return
    detail: dict[str, Any] = {"attempt": result.attempt} if result.attempt > 1 else {}
    if result.cached:
        detail["cached"] = True
    draft.say("activity_completed", path, **detail)
    if result.outcome == "done":
        draft.closing.append(path)
        return
    # Complete, Cancel, Terminate speak of the instance; inside an undo they only end the undo.
    if path.startswith("undo/"):
        draft.closing.append(path)
        return
    draft.drop(path)
    if result.outcome == "break":
        loop.broken(draft, loop.around(draft, path))
        return
    status = {"complete": "completed", "cancel": "cancelled", "terminate": "terminated"}[result.outcome]
    ending.begin(draft, status, result.reason)


def _brought(draft: Draft, path: str, node: ActivityNode, result: Raw) -> bool:
    """What it returned is brought into the data; False if that cannot be."""
    if node.into is None:
        return True
    try:
        apply_into(draft, path, node.into, None if result is NOTHING else node.read(result))
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return False
    return True


def _failed(draft: Draft, result: AttemptEnded, frame: Frame, failure: Failure) -> None:
    path = result.path
    activity = activity_at(draft, path)
    failure = replace(failure, path=path, attempt=frame.attempt)
    policy = retry.policy_for(activity.retry if activity else None, failure)
    if policy is None:
        draft.fail(path, failure)
        return
    if frame.attempt >= policy.attempts:
        if failure.kind == "again":
            failure = replace(failure, code="attempts_used_up", message=f"{policy.attempts} attempts: {failure.message}")
        draft.fail(path, failure)
        return
    delay = retry.delay_of(policy, frame.attempt, draft.seed) if result.delay is None else result.delay
    if activity is not None and activity.deadline is not None and draft.now + delay >= frame.first_at + activity.deadline:
        failure = replace(failure, code="deadline", message=f"deadline reached; last error: {failure.code}: {failure.message}")
        draft.fail(path, failure)
        return
    detail = {"attempt": frame.attempt, "code": failure.code, "message": failure.message}
    if delay <= 0:
        draft.say("activity_retried", path, **detail)
        draft.put(path, replace(frame, run="ready", attempt=frame.attempt + 1, lost=0))
        return
    draft.say("activity_retry_scheduled", path, **detail, delay=delay)
    draft.put(path, replace(frame, run="backing_off", reason=failure.code, lost=0))
    draft.set_timer(path, "retry", draft.now + delay)


def _stopped(draft: Draft, result: AttemptEnded) -> None:
    """An attempt that was told to stop has ended, one way or another: no undo overtakes its effect."""
    path, node = result.path, activity_node(draft, result.path)
    if result.outcome in ("failed", "stopped", "again"):
        draft.say("activity_stopped", path, attempt=result.attempt)
        if node is not None:
            register_started(draft, path, node)
    else:
        draft.say("late_result_dropped", path, attempt=result.attempt)
        if node is not None:
            before = draft.record(path) if result.base is NOTHING else result.base
            compensation.register(draft, path, node, before, Raw(result.data) if result.data else before, result.result)
    draft.drop(path)


def deferred(draft: Draft, result: AttemptDeferred) -> None:
    frame = draft.open.get(result.path)
    if frame is None or frame.attempt != result.attempt or frame.run not in ("flying", "stopping"):
        return
    if frame.run == "stopping":
        _stopped(draft, AttemptEnded(result.path, result.attempt, "stopped"))
        return
    draft.give_back(result.path)
    draft.say("activity_deferred", result.path, reason=result.reason)
    draft.put(result.path, replace(frame, run="deferred", reason=result.reason))
    # At least 1 us: a worker that shuts down has to be able to give the row back first.
    draft.set_timer(result.path, "deferred", draft.now + max(1, result.delay))


def lost(draft: Draft, paths: tuple[str, ...] | None) -> None:
    """The last owner is gone, and with it the attempts that were in flight: at these paths, or all."""
    for path, frame in list(draft.open.items()):
        if paths is not None and path not in paths:
            continue
        if frame.run == "flying":
            count = frame.lost + 1
            draft.say("activity_lost", path, attempt=frame.attempt, lost=count)
            if count > MAX_LOST:
                text = f"{count} attempts in a row were lost with their workers"
                error = Failure("attempts_lost", text, path, frame.attempt, kind="permanent")
                draft.put(path, replace(frame, run="failed", lost=count, error=error))
            else:
                draft.put(path, replace(frame, run="ready", lost=count))
        elif frame.run == "stopping":
            _stopped(draft, AttemptEnded(path, frame.attempt, "stopped"))


def recover(draft: Draft, path: str, node: ActivityNode, failure: Failure) -> bool:
    """A finally failed activity goes on by itself, if it has a fallback or is optional."""
    frame = draft.open[path]
    if node.activity.fallback is not None and not frame.fell_back:
        draft.say("activity_fell_back", path, code=failure.code, to=node.activity.fallback.name)
        register_started(draft, path, node)
        draft.put(path, Frame(run="ready", fell_back=True))
        return True
    if node.activity.optional:
        draft.say("activity_skipped", path, code=failure.code, message=failure.message)
        register_started(draft, path, node)
        draft.closing.append(path)
        draft.put(path, FLYING)
        return True
    return False


def register_started(draft: Draft, path: str, node: ActivityNode) -> None:
    """For effects whose failure is ambiguous."""
    if node.activity.compensate_when == "started" and not any(u.path == path for u in draft.undo):
        compensation.register(draft, path, node, draft.data, draft.data)


def activity_node(draft: Draft, path: str) -> ActivityNode | None:
    node = draft.node_at(path)
    return node if isinstance(node, ActivityNode) else None

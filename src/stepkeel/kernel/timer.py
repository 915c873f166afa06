"""Timers: due ones by (due_at, path, purpose). Those of a closed node are gone with it, so none fires for a left state.

| purpose | of | does |
|---|---|---|
| retry | activity, backing off | the next attempt may start |
| deferred | activity, put back | the same attempt may start again |
| until | activity that returned Wait | its node is done |
| delay, until | wait node | its node is done |
| remind, escalate | task | somebody is told; it passes on to the next role |
| timeout | hold | its node fails |
| timeout | the instance, by its tenant's tier | it ends `failed`, whatever it is at; whoever decides needs not know the tier |
| timeout | all undos of an ending | those that are left are not done (compensation.py) |
| after | a timeout of a state that rests (or an interrupting one) | the reaction fires |
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.kernel import compensation, ending
from stepkeel.kernel.data import PureFailed, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import WHOLE, fail_machine, rests, root_path
from stepkeel.kernel.node import hold, task
from stepkeel.kernel.path import is_reaction, machine_of
from stepkeel.kernel.reaction import fire, reaction_at
from stepkeel.model.snapshot import Failure

__all__ = ["due", "earliest", "fire_due"]


def earliest(timers: dict[str, dict[str, int]]) -> int | None:
    """When the next timer is due; None without timers."""
    return min((at for purposes in timers.values() for at in purposes.values()), default=None)


def due(draft: Draft, below: str = "") -> list[tuple[int, str, str]]:
    """Timers whose time has come, in the order in which they fire."""
    if not draft.timers:
        return []
    now = draft.now
    return sorted(
        (at, path, purpose)
        for path, purposes in draft.timers.items()
        if path.startswith(below)
        for purpose, at in purposes.items()
        if at <= now
    )


def fire_due(draft: Draft, below: str = "") -> bool:
    """Fire the first due timer that may fire now."""
    for _, path, purpose in due(draft, below):
        if purpose == "after":
            if _time_out(draft, path):
                return True
            continue
        draft.drop_timers(path, purpose)
        draft.say("timer_fired", path, purpose=purpose)
        if path == compensation.ALL:
            compensation.time_out(draft)
            return True
        if (path, purpose) == (WHOLE, "timeout"):
            text = "it has taken as long as its tenant may"
            ending.begin(draft, "failed", failure=Failure("workflow_timeout", text, root_path(draft), kind="permanent"))
            return True
        _wake(draft, path, purpose)
        return True
    return False


def _wake(draft: Draft, path: str, purpose: str) -> None:
    frame = draft.open.get(path)
    if frame is None:
        return
    if purpose == "retry":
        draft.put(path, replace(frame, run="ready", attempt=frame.attempt + 1))
    elif purpose == "deferred":
        draft.put(path, replace(frame, run="ready", reason=""))
    elif purpose == "timeout":
        hold.timed_out(draft, path, frame)
    elif frame.tasks:
        task.timed(draft, path, purpose)
    else:
        if frame.run == "waiting":
            draft.say("wait_ended", path, by=purpose)
        draft.closing.append(path)


def _time_out(draft: Draft, path: str) -> bool:
    reaction = reaction_at(draft, path)
    machine = machine_of(path)
    busy = any(is_reaction(p) and machine_of(p) == machine for p in draft.open)
    if not rests(draft, machine) and (busy or not reaction.interrupt):
        return False
    draft.drop_timers(path, "after")
    try:
        if holds(draft, reaction.when, at=machine):
            draft.say("timer_fired", path, purpose="after")
            fire(draft, reaction, None, machine=machine)
        else:
            draft.say("timer_fired", path, purpose="after", guarded=True)
    except PureFailed as error:
        fail_machine(draft, machine, pure_failure(path, error))
    return True

"""Undoing, last finished first, one at a time. Each undo is an activity with its own retry, timeout, commit, history.

| policy, when an undo fails for good | the rest is | final status |
|---|---|---|
| continue_then_fail (default) | undone | failed |
| stop_and_fail | listed as not done | failed |
| continue_then_terminate | undone | terminated |
"""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel.draft import READY, Draft
from stepkeel.kernel.path import address
from stepkeel.model.codec import split_fields
from stepkeel.model.node import Activity, ActivityNode
from stepkeel.model.snapshot import Failure, Undo

__all__ = ["abandon", "entry_at", "fail", "finish", "open_next", "register", "undo_activity"]


def register(draft: Draft, path: str, node: ActivityNode, before: Raw, after: Raw) -> None:
    """Remember how to undo a finished activity, with the fields as it left them.

    The entry's number is the revision: at most one activity ends in a decision, and it is never used again.
    """
    if node.activity.compensate is None or path.startswith("!"):
        return  # nothing, or done by the ending itself: nobody undoes that
    old, new = split_fields(before), split_fields(after)
    changed = {k: v for k, v in new.items() if old.get(k) != v}
    draft.undo = (*draft.undo, Undo(draft.revision, path, changed))


def entry_at(draft: Draft, path: str) -> Undo | None:
    n = int(path.rpartition("/")[2])
    return next((u for u in draft.undo if u.n == n), None)


def undo_activity(draft: Draft, entry: Undo) -> Activity | None:
    place = draft.definition.places.get(address(entry.path))
    return place.node.activity.compensate if place and isinstance(place.node, ActivityNode) else None


def open_next(draft: Draft) -> bool:
    """Make the last registered undo ready; False when none is left."""
    if not draft.undo:
        return False
    entry = draft.undo[-1]
    if undo_activity(draft, entry) is None:
        draft.undo = draft.undo[:-1]
        draft.say("compensation_skipped", f"undo/{entry.n}", of=entry.path, reason="the definition has no such undo any more")
        return True
    draft.say("compensation_began", f"undo/{entry.n}", of=entry.path)
    draft.put(f"undo/{entry.n}", READY)
    return True


def finish(draft: Draft, path: str) -> None:
    """An undo is done: it is never run again."""
    entry = entry_at(draft, path)
    if entry is None:
        return
    draft.undo = tuple(u for u in draft.undo if u.n != entry.n)
    draft.say("compensation_completed", path, of=entry.path)
    _note_undone(draft, entry)


def _note_undone(draft: Draft, entry: Undo) -> None:
    """A failure remembers what was undone since: redrive asks."""
    ending = draft.ending
    if ending is not None and ending.failure is not None:
        failure = replace(ending.failure, undone=(*ending.failure.undone, entry.path))
        draft.ending = replace(ending, failure=failure)


def fail(draft: Draft, path: str, failure: Failure) -> None:
    """An undo failed for good: keep its error beside the cause, go on as the policy says."""
    entry = entry_at(draft, path)
    ending = draft.ending
    draft.drop(path)
    if entry is None or ending is None:
        return
    draft.undo = tuple(u for u in draft.undo if u.n != entry.n)
    draft.say("compensation_failed", path, of=entry.path, code=failure.code, message=failure.message)
    cause = ending.failure or Failure("compensation_failed", f"undo of {entry.path} failed", entry.path)
    cause = replace(cause, undo_errors=(*cause.undo_errors, replace(failure, path=path)))
    policy = draft.definition.compensation
    status = "terminated" if policy == "continue_then_terminate" else "failed"
    draft.ending = replace(ending, status=status, failure=cause)
    if policy == "stop_and_fail":
        abandon(draft, "an earlier undo failed")


def abandon(draft: Draft, reason: str) -> None:
    """List every undo that is left as not done."""
    for entry in reversed(draft.undo):
        draft.drop(f"undo/{entry.n}")
        draft.say("compensation_skipped", f"undo/{entry.n}", of=entry.path, reason=reason)
    draft.undo = ()

"""Undoing, last finished first, one at a time. Each undo is an activity with its own retry, timeout, commit, history.

| policy, when an undo fails for good | the rest is | final status |
|---|---|---|
| continue_then_fail (default) | undone | failed |
| stop_and_fail | listed as not done | failed |
| continue_then_terminate | undone | terminated |
| any, and compensation_timeout is over | listed as not done | failed |
"""

from __future__ import annotations

import re

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel import graph, machine, region
from stepkeel.kernel.data import PureFailed
from stepkeel.kernel.draft import READY, Draft
from stepkeel.kernel.parts import body_of, concurrent_at
from stepkeel.kernel.path import below, is_reaction, machine_of, reaction_of
from stepkeel.kernel.record import item_at
from stepkeel.model.codec import split_fields
from stepkeel.model.node import Activity, ActivityNode
from stepkeel.model.snapshot import NOTHING, Failure, Frame, Undo

__all__ = [
    "ALL",
    "abandon",
    "begin",
    "entry_at",
    "fail",
    "fail_alone",
    "finish",
    "open_next",
    "register",
    "time_out",
    "undo_activity",
    "undo_branches",
]


ALL = "undo"  # the path of the timer of all undos of an ending
_HANDLER = re.compile(r"!(on_failure|on_cancel|finally)\b")


def register(draft: Draft, path: str, node: ActivityNode, before: Raw, after: Raw, output: Raw = NOTHING) -> None:
    """Remember how to undo a finished activity, with the fields as it left them.

    The entry's number is the revision, which is never used again; several of one decision are counted.
    """
    if node.activity.compensate is None or _HANDLER.match(path):
        return  # nothing, or done by the ending itself: nobody undoes that
    old, new = split_fields(before), split_fields(after)
    changed = {k: v for k, v in new.items() if old.get(k) != v}
    same = sum(u.n == draft.revision for u in draft.undo)
    item = item_at(draft.open, path) if "[" in path else None
    frame = draft.open.get(reaction_of(path)) if item is None and "!" in path else None
    given = None if frame is None else Frame(reason=frame.reason, input=frame.input, error=frame.error)
    entry = Undo(draft.revision, path, changed, same + 1, item, given)
    if node.undo_given is not None:
        try:
            entry = replace(entry, item=None, given=None, input=graph.given(draft, path, node.undo_given, output))
        except PureFailed as error:  # it has happened, and there is no undoing it: known when it comes to that
            entry = replace(entry, fault=str(error))
    draft.undo = (*draft.undo, entry)


def entry_at(draft: Draft, path: str) -> Undo | None:
    key = path.rpartition("/")[2]
    return next((u for u in draft.undo if u.key == key), None)


def undo_activity(draft: Draft, entry: Undo) -> Activity | None:
    node = draft.node_at(entry.path)
    return node.activity.compensate if isinstance(node, ActivityNode) else None


def open_next(draft: Draft) -> bool:
    """Make the last registered undo ready; False when none is left."""
    if not draft.undo:
        return False
    begin(draft, draft.undo[-1])
    return True


def begin(draft: Draft, entry: Undo) -> None:
    if undo_activity(draft, entry) is None:
        draft.undo = tuple(u for u in draft.undo if u.key != entry.key)
        draft.say("compensation_skipped", f"undo/{entry.key}", of=entry.path, reason="the definition has no such undo any more")
        return
    path = f"undo/{entry.key}"
    draft.say("compensation_began", path, of=entry.path)
    draft.put(path, READY)
    if entry.fault:
        draft.fail(path, Failure("pure_failed", entry.fault, path, kind="permanent"))


def finish(draft: Draft, path: str) -> None:
    """An undo is done: it is never run again."""
    entry = entry_at(draft, path)
    if entry is None:
        return
    draft.undo = tuple(u for u in draft.undo if u.key != entry.key)
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
    draft.undo = tuple(u for u in draft.undo if u.key != entry.key)
    draft.say("compensation_failed", path, of=entry.path, code=failure.code, message=failure.message)
    cause = ending.failure or Failure("compensation_failed", f"undo of {entry.path} failed", entry.path)
    cause = replace(cause, undo_errors=(*cause.undo_errors, replace(failure, path=path)))
    policy = draft.definition.compensation
    status = "terminated" if policy == "continue_then_terminate" else "failed"
    draft.ending = replace(ending, status=status, failure=cause)
    if policy == "stop_and_fail":
        abandon(draft, "an earlier undo failed")


def time_out(draft: Draft) -> None:
    """They have taken too long: the one in flight is stopped and has failed, those behind it are listed as not done."""
    text = "the compensation_timeout of the definition is over"
    for path, frame in list(draft.open.items()):
        if path.startswith("undo/") and frame.run != "stopping":
            fail(draft, path, Failure("compensation_timeout", text, kind="permanent"))
            if frame.run == "flying":
                draft.put(path, frame)
                draft.stop(path, frame)
    abandon(draft, text)
    if draft.ending is not None:
        draft.ending = replace(draft.ending, status="failed")


def undo_branches(draft: Draft) -> bool:
    """Undo what branches had finished that a join did without (rest=undo), last first; then their node closes."""
    for path, frame in draft.open.items():
        if frame.run != "undoing" or frame.round is None:
            continue
        node = concurrent_at(draft, path)
        bodies = [body_of(node, path, part) for part, how in frame.round.ended.items() if how == "undone"]
        if region.stopping(draft, *bodies) or any(p.startswith("undo/") for p in draft.open):
            continue
        entry = next((u for u in reversed(draft.undo) if any(below(u.path, b) for b in bodies)), None)
        if entry is None:
            draft.closing.append(path)
        else:
            begin(draft, entry)
        return True
    return False


def fail_alone(draft: Draft, path: str, failure: Failure) -> None:
    """An undo that no ending has asked for has failed for good: so has the node whose branches were undone,

    or the state whose reaction had it undone.
    """
    entry = entry_at(draft, path)
    draft.drop(path)
    if entry is None:
        return
    draft.undo = tuple(u for u in draft.undo if u.key != entry.key)
    draft.say("compensation_failed", path, of=entry.path, code=failure.code, message=failure.message)
    text = f"undo of {entry.path} failed: {failure.code}: {failure.message}"
    undoing = [(p, f) for p, f in draft.open.items() if f.run == "undoing"]
    for holder, frame in sorted(undoing, key=lambda each: is_reaction(each[0])):
        error = Failure("compensation_failed", text, holder, kind="permanent", undo_errors=(replace(failure, path=path),))
        if is_reaction(holder):
            draft.drop(holder)
            if frame.seq:
                draft.settle_signal(frame.seq, frame.reason, "failed", text)
            m = machine_of(holder)
            machine.fail_machine(draft, m, replace(error, path=machine.root_path(draft, m)))
            return
        if below(entry.path, holder):
            draft.fail(holder, error)
            return


def abandon(draft: Draft, reason: str) -> None:
    """List every undo that is left as not done."""
    for entry in reversed(draft.undo):
        draft.drop(f"undo/{entry.key}")
        draft.say("compensation_skipped", f"undo/{entry.key}", of=entry.path, reason=reason)
    draft.undo = ()

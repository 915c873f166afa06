"""A new instance from an old one, with its data or other data, which stays as it is.

| from | the fork begins |
|---|---|
| a state, or a node of its body | there, as if it had been put there before it began |
| nowhere in particular, of one that failed | where that failed: what was open stands again, what had ended counts as done |

It is another instance: nothing it does has the idempotency key of what the old one did, it undoes nothing of that, and begins its
children, tasks and timers anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from stepkeel.kernel.draft import UNKNOWN, Draft
from stepkeel.kernel.reposition import Places, place_refused, stand_again, to_place, undone_refused
from stepkeel.model.decision import Decision
from stepkeel.model.input import Forked, Redrive, said_of
from stepkeel.model.snapshot import Frame, Moving, Round, Snapshot

__all__ = ["fork", "lists"]

Listed = Callable[[str, int], list[Any]]  # of the for_each at a path, as a revision of the old instance tells


def fork(source: Snapshot, forked: Forked, places: Places, items: Listed, now: int, seed: int) -> Decision:
    """The decision that makes the fork's snapshot. Settling it needs the definition: the first claim does that."""
    refused = _refused(source, forked, places)
    if refused:
        return Decision(source, refused="invalid_transition", message=refused)
    empty = Snapshot(forked.id, source.tenant, source.definition, source.version, source.fingerprint, "created", Raw(forked.data))
    draft = Draft(UNKNOWN, empty, now, seed, ())
    draft.say("created")
    draft.say("forked", of=source.id, revision=forked.revision, **said_of(forked, **{"from": forked.from_state}))
    if forked.from_state:
        draft.moving = to_place(forked.from_state, actor=forked.actor)
    else:
        _stand_where_it_failed(draft, source, items)
    return draft.decision()


def _refused(source: Snapshot, forked: Forked, places: Places) -> str:
    if forked.from_state:
        return place_refused(places, source, Redrive(from_state=forked.from_state))
    if source.status != "failed":
        return f"{source.id} has not failed, it is {source.status}: say from which state, or node of one (from_state=)"
    return undone_refused(source.failure)


def _stand_where_it_failed(draft: Draft, source: Snapshot, items: Listed) -> None:
    assert source.failure is not None
    draft.status = "running"
    draft.state, draft.visits, draft.label = source.state, source.visits, source.label
    draft.fired, draft.results = source.fired, source.results
    for path, frame in source.failure.open.items():
        stand_again(draft, path, _relisted(draft, path, frame, items))
    draft.moving = Moving(trigger="redrive")


def lists(open: Mapping[str, Frame]) -> Iterator[tuple[str, int]]:
    """Of which for_each, and which revision, the items are needed; also of those that stood in branches that had failed."""
    for path, frame in open.items():
        if frame.round is not None:
            yield from ((path, revision) for _, revision in frame.round.lists)
            for stood in frame.round.stood.values():
                yield from lists(stood)


def _relisted(draft: Draft, path: str, frame: Frame, items: Listed) -> Frame:
    """The items are told by a history, and the fork has one of its own."""
    round = frame.round
    if round is None:
        return frame
    if round.listed:
        whole = [each for _, revision in round.lists for each in items(path, revision)]
        draft.say("items_listed", path, items=whole)
        round = replace(round, listed=draft.revision, added=())
    return replace(frame, round=_with_stood(draft, round, items))


def _with_stood(draft: Draft, round: Round, items: Listed) -> Round:
    if not round.stood:
        return round
    stood = {part: {p: _relisted(draft, p, f, items) for p, f in frames.items()} for part, frames in round.stood.items()}
    return replace(round, stood=stood)

"""Answers to what guards ask about positions. Pure functions of the snapshot.

| asked | answer |
|---|---|
| at(path) | something is open there: a path, or the end of one, without visits, iterations and items |
| done(path) | the branch `parallel:name` has ended well, and the join is still open; or the state of that name has been left |
| | of a step `flow:name`: it has fired, and one of its firings is over |
| started(path) | the branch has begun, its join still open; or the state has been entered; of any other node: it is open |
| visits(state) | how often a state of the instance has been entered |
| size(path) | how many parts a parallel or for_each that is open has, how many firings a flow has had; 0 where there is none |
| branches_open(path) | how many of those have begun and not ended; without a path, of all that are open |
| children(definition) | how many of its children have not ended: those of this definition, or all |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.parts import concurrent_at, holder_at, names_of, open_count, to_begin
from stepkeel.kernel.path import address, around, container, means
from stepkeel.model.node import ChildNode
from stepkeel.model.snapshot import Round

__all__ = ["ask_fact"]


def ask_fact(draft: Draft, kind: str, path: str) -> Any:
    if kind == "visits":
        return draft.visits.get(path, 0)
    if kind == "at":
        return any(means(each, path) for open_path in draft.open for each in _within(open_path))
    if kind == "children":
        return sum(f.child is not None and not f.child.over and _is_of(draft, p, path) for p, f in draft.open.items())
    if kind == "branches_open":
        rounds = [(p, f.round) for p, f in draft.open.items() if f.round is not None and (not path or means(p, path))]
        return sum(open_count(holder_at(draft, p), round) for p, round in rounds)
    if kind == "size":
        return max((f.round.size for p, f in draft.open.items() if f.round is not None and means(p, path)), default=0)
    holder, colon, branch = path.rpartition(":")
    if kind == "started":
        if not colon:
            return draft.visits.get(path, 0) > 0 or ask_fact(draft, "at", path)
        return any(f.round is not None and means(p, holder) and _begun(draft, p, f.round, branch) for p, f in draft.open.items())
    if not colon:
        return path != draft.state and draft.visits.get(path, 0) > 0
    return any(f.round is not None and means(p, holder) and _done(f.round, branch) for p, f in draft.open.items())


def _done(round: Round, branch: str) -> bool:
    if round.tokens is not None:
        return round.tokens.fired.get(branch, 0) > sum(address(part) == branch for part in round.tokens.going)
    return round.ended.get(branch) == "done"


def _begun(draft: Draft, path: str, round: Round, branch: str) -> bool:
    if round.tokens is not None:
        return branch in round.tokens.fired
    node = concurrent_at(draft, path)
    return round.ended.get(branch) != "skipped" and branch not in to_begin(node, round) and branch in names_of(node, round)


def _is_of(draft: Draft, path: str, definition: str) -> bool:
    node = draft.node_at(path)
    return isinstance(node, ChildNode) and (not definition or node.of.definition.name == definition)


def _within(path: str) -> Iterator[str]:
    """A node, those around it, and the states, branches and arms it stands in."""
    yield path
    for holder, _ in around(path):
        yield holder
    while path := container(path):
        yield path

"""Answers to what guards ask about positions. Pure functions of the snapshot.

| asked | answer |
|---|---|
| at(path) | something is open there: a path, or the end of one, without visits, iterations and items |
| done(path) | the branch `parallel:name` has ended well, and the join is still open; or the state of that name has been left |
| visits(state) | how often a state of the instance has been entered |
| size(path) | how many parts a parallel or for_each that is open has; 0 where there is none |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import address, around, container

__all__ = ["ask_fact"]


def ask_fact(draft: Draft, kind: str, path: str) -> Any:
    if kind == "visits":
        return draft.visits.get(path, 0)
    if kind == "at":
        return any(_means(each, path) for open_path in draft.open for each in _within(open_path))
    if kind == "size":
        return max((f.round.size for p, f in draft.open.items() if f.round is not None and _means(p, path)), default=0)
    holder, colon, branch = path.rpartition(":")
    if not colon:
        return path != draft.state and draft.visits.get(path, 0) > 0
    return any(f.round is not None and _means(p, holder) and f.round.ended.get(branch) == "done" for p, f in draft.open.items())


def _within(path: str) -> Iterator[str]:
    """A node, those around it, and the states, branches and arms it stands in."""
    yield path
    for holder, _ in around(path):
        yield holder
    while path := container(path):
        yield path


def _means(open_path: str, path: str) -> bool:
    known = address(open_path)
    return known == path or known.endswith((f"/{path}", f":{path}"))

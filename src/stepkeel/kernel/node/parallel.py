"""parallel: bodies at the same time. Its frame remembers which branches have ended; the rules of its join are in join.py.

| guards | then |
|---|---|
| of a branch holds, or it has none | it takes part; opened in order, at most max_concurrency of them at a time |
| of a branch does not hold | it has ended `skipped` and does not count |
| of no branch holds, there is an otherwise | that takes part |
| nothing takes part | node_skipped, closes |
| one raises | failed |
| again=wait, and branches of an earlier visit are loose | held until they have ended |
"""

from __future__ import annotations

from stepkeel.kernel import join
from stepkeel.kernel.data import PureFailed, holds, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import part_of
from stepkeel.model.node import ParallelNode
from stepkeel.model.snapshot import Frame, Round

__all__ = ["behind", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    if join.resumed(draft, path, frame):
        return
    node = draft.node_at(path)
    assert isinstance(node, ParallelNode)
    try:
        taken = {b.key for b in node.branches if not b.otherwise and holds(draft, b.when, at=path)}
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    taken = taken or {b.key for b in node.branches if b.otherwise}
    if not taken:
        draft.say("node_skipped", path, reason="no guard holds")
        draft.closing.append(path)
        return
    skipped = {b.key: "skipped" for b in node.branches if b.key not in taken}
    join.begin(draft, path, Round(size=len(taken), ended=skipped))


def behind(draft: Draft, path: str, body: str) -> None:
    """The body of a branch is done."""
    join.ended(draft, path, part_of(body), "done")

"""graph: steps that need each other. Its frame remembers how each has ended; which may begin: kernel/graph.py; the join: join.py.

| comes | then |
|---|---|
| it opens | the steps that need no other are judged |
| the body of a step is done | step_ended; those that need it are judged; closes when every step is done, skipped or dead |
| a guard raises | failed |
"""

from __future__ import annotations

from stepkeel.kernel import join
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import part_of
from stepkeel.model.graph import GraphNode
from stepkeel.model.snapshot import Frame, Round

__all__ = ["behind", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    if join.resumed(draft, path, frame):
        return
    node = draft.node_at(path)
    assert isinstance(node, GraphNode)
    draft.put(path, Frame(run="open", round=Round(size=len(node.steps))))
    if join.begin_steps(draft, path, node, [s.key for s in node.steps if not s.needs]):
        join.judge(draft, path)


def behind(draft: Draft, path: str, body: str) -> None:
    """The body of a step is done."""
    join.ended(draft, path, part_of(body), "done")

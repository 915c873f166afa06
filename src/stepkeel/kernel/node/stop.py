"""stop: cancels or completes another node. Closes at once.

| open under its target | then |
|---|---|
| something | cancelled or completed, as an operator would (operate.py) |
| nothing | node_skipped |
"""

from __future__ import annotations

from stepkeel.kernel import operate
from stepkeel.kernel.draft import Draft
from stepkeel.model.node import StopNode
from stepkeel.model.snapshot import Frame

__all__ = ["open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.node_at(path)
    assert isinstance(node, StopNode)
    draft.closing.append(path)
    if not operate.stop(draft, path, node.target, node.how, node.then):
        draft.say("node_skipped", path, reason=f"nothing is open under {node.target}")

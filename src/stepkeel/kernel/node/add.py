"""add_items: items for a for_each that is open elsewhere. Closes at once.

| open under its target | then |
|---|---|
| a for_each, or several | each is given the items, behind those it has |
| nothing | node_skipped |
| the function raises, or gives what is no list or cannot be stored | failed |
"""

from __future__ import annotations

from stepkeel.kernel import operate
from stepkeel.kernel.data import PureFailed, ask_at, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.node.for_each import items_of
from stepkeel.model.node import AddNode, ForEachNode
from stepkeel.model.snapshot import Frame

__all__ = ["open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    node = draft.node_at(path)
    assert isinstance(node, AddNode)
    try:
        items = items_of(node.items, ask_at(draft, path, node.items))
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    draft.closing.append(path)
    found = [p for p in operate.targets(draft, node.target) if isinstance(draft.node_at(p), ForEachNode)] if items else []
    added = [operate.add_items(draft, p, items) is None for p in found]
    if not any(added):
        text = f"no for_each is open under {node.target}" if items else "no items"
        draft.say("node_skipped", path, reason=text)

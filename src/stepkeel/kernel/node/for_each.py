"""for_each: a body for each item. Its frame remembers which items have ended; the rules of its join are in join.py.

| items | then |
|---|---|
| a list | told once, in the history; opened in order, at most max_concurrency of them at a time |
| an empty one | node_skipped, closes; where items may be added, it stays open |
| the function raises, or gives what is no list or cannot be stored | failed |
| again=wait, and items of an earlier visit are loose | held until they have ended |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from stepkeel.errors import DataInvalid
from stepkeel.kernel import join
from stepkeel.kernel.data import PureFailed, apply_into, ask, pure_failure
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import part_of
from stepkeel.model.codec import to_json
from stepkeel.model.function import Function
from stepkeel.model.node import ForEachNode
from stepkeel.model.snapshot import Frame, Round

__all__ = ["behind", "items_of", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    if join.resumed(draft, path, frame):
        return
    node = draft.node_at(path)
    assert isinstance(node, ForEachNode)
    try:
        items = items_of(node.items, ask(node.items, draft.view(path)))
        if not items and node.stays is None:
            apply_into(draft, path, node.into, [])
    except PureFailed as error:
        draft.fail(path, pure_failure(path, error))
        return
    if not items and node.stays is None:
        draft.say("node_skipped", path, reason="no items")
        draft.closing.append(path)
        return
    draft.say("items_listed", path, items=items)
    join.begin(draft, path, Round(size=len(items), listed=draft.revision))


def items_of(function: Function, given: object) -> list[object]:
    """What a function has given, if it is a list that can be stored. Raises PureFailed."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise PureFailed(f"{function.name} gave {type(cast('object', given)).__name__}, no list of items")
    items = [*cast("Iterable[object]", given)]
    try:
        to_json(items)
    except DataInvalid as error:
        raise PureFailed(f"{function.name}: {error.message}") from error
    return items


def behind(draft: Draft, path: str, body: str) -> None:
    """The body of an item is done."""
    join.ended(draft, path, part_of(body), "done")

"""One file per kind of node. Each has `open(draft, path, frame)`: what happens when a ready node may start."""

from __future__ import annotations

from typing import Protocol

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.node import activity, pure, wait
from stepkeel.kernel.path import address
from stepkeel.model.node import ActivityNode, PureNode, WaitNode
from stepkeel.model.snapshot import Frame

__all__ = ["KINDS", "kind_of"]


class Kind(Protocol):
    def open(self, draft: Draft, path: str, frame: Frame) -> None: ...


KINDS: dict[type, Kind] = {ActivityNode: activity, WaitNode: wait, PureNode: pure}


def kind_of(draft: Draft, path: str) -> Kind:
    """The rules of the node at a path; an undo is an activity."""
    if path.startswith("undo/"):
        return activity
    return KINDS[type(draft.definition.places[address(path)].node)]

"""What attempts are given: their own copy of the data that their node sees, and the item of the for_each around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from stepkeel.kernel.path import around
from stepkeel.kernel.record import seen_at
from stepkeel.model.definition import Definition
from stepkeel.model.snapshot import NOTHING, Snapshot

if TYPE_CHECKING:
    from stepkeel.runtime.result import Fresh

__all__ = ["Given"]


class Given:
    """Of one instance. `fresh` is the copy that checked the bytes of the last commit, if it is still nobody's."""

    __slots__ = ("_definition", "_items", "fresh")

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._items: tuple[msgspec.Raw, list[msgspec.Raw]] = (NOTHING, [])
        self.fresh: Fresh | None = None

    def data(self, snapshot: Snapshot, path: str) -> tuple[msgspec.Raw, Any]:
        """What the node sees, encoded and as a copy of its own. Raises DataInvalid."""
        raw = seen_at(snapshot.open, snapshot.data, path) if self._definition.concurrent else snapshot.data
        fresh, self.fresh = self.fresh, None
        if fresh is not None and raw == fresh[0]:
            return raw, fresh[1]
        return raw, self._definition.data.decode(raw)

    def item(self, snapshot: Snapshot, path: str) -> msgspec.Raw | None:
        """The item that the innermost for_each around the node has for it; None outside of one."""
        for holder, part in around(path):
            frame = snapshot.open.get(holder)
            if frame is None or frame.round is None or frame.round.items is NOTHING:
                continue
            items = frame.round.items
            if self._items[0] is not items:
                self._items = items, msgspec.json.decode(items, type=list[msgspec.Raw])
            return self._items[1][int(part)]
        return None

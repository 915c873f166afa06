"""What attempts are given: their own copy of the data that their node sees, and the item of the for_each around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from stepkeel.errors import ResourceExhausted, Unavailable
from stepkeel.kernel.record import seen_at
from stepkeel.kernel.replay import read_events
from stepkeel.model.definition import Definition
from stepkeel.model.event import Event
from stepkeel.model.snapshot import Snapshot
from stepkeel.store.port import Store

if TYPE_CHECKING:
    from stepkeel.runtime.result import Fresh

__all__ = ["Given"]


class Given:
    """Of one instance. `fresh` is the copy that checked the bytes of the last commit, if it is still nobody's."""

    __slots__ = ("_definition", "_items", "fresh")

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._items: dict[tuple[str, int], list[Any]] = {}
        self.fresh: Fresh | None = None

    def data(self, snapshot: Snapshot, path: str) -> tuple[msgspec.Raw, Any]:
        """What the node sees, encoded and as a copy of its own. Raises DataInvalid."""
        definition = self._definition
        raw = seen_at(definition.places, snapshot.open, snapshot.data, path) if definition.concurrent else snapshot.data
        fresh, self.fresh = self.fresh, None
        if fresh is not None and bytes(raw) == fresh[0]:
            return raw, fresh[1]
        return raw, self._definition.data.decode(raw)

    def listed(self, revision: int, events: Iterable[Event]) -> None:
        """Items as they were decided here, or as the history tells them."""
        for event in events:
            if event.type in ("items_listed", "items_added"):
                self._items[event.path, revision] = event.detail["items"]

    async def item(self, store: Store, instance_id: str, at: tuple[str, int, int]) -> msgspec.Raw:
        """What stands at a place of a list (`item_at`). Raises ResourceExhausted."""
        holder, revision, n = at
        return msgspec.Raw(msgspec.json.encode((await self._from_history(store, instance_id, holder, revision))[n]))

    def items(self, path: str, revision: int) -> list[Any]:
        """Those that a decision asks for; loaded before, or listed here."""
        return self._items[path, revision]

    async def load(self, store: Store, snapshot: Snapshot) -> None:
        """What decisions may ask for, where functions of the definition want their items. Raises Unavailable."""
        for path, frame in snapshot.open.items():
            if frame.round is not None:
                for _, revision in frame.round.lists:
                    await self._read(store, snapshot.id, path, revision)

    async def _read(self, store: Store, instance_id: str, path: str, revision: int) -> list[Any]:
        if (path, revision) not in self._items:
            for row in await store.history(instance_id, revision - 1, 1):
                self.listed(row.revision, read_events(row.events))
        return self._items[path, revision]

    async def _from_history(self, store: Store, instance_id: str, path: str, revision: int) -> list[Any]:
        try:
            return await self._read(store, instance_id, path, revision)
        except Unavailable as error:
            raise ResourceExhausted("the list of items", retry_after=1.0) from error

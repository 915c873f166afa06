"""History folded back into what it tells of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from stepkeel.model.commit import HistoryRow
from stepkeel.model.decision import Changes
from stepkeel.model.event import Event
from stepkeel.model.snapshot import Snapshot, flatten

__all__ = ["Entry", "data_at", "differs", "fold", "read_changes", "read_events"]

read_events = msgspec.json.Decoder(tuple[Event, ...]).decode
read_changes = msgspec.json.Decoder(Changes).decode

Entry = HistoryRow


def fold(history: Iterable[HistoryRow], until: int | None = None) -> dict[str, Any]:
    """The flat snapshot (see `flatten`) as of a revision, from the changes alone; of the last one unless said."""
    flat: dict[str, Any] = {}
    for row in history:
        if until is not None and row.revision > until:
            break
        changes = read_changes(row.changes)
        flat.update(changes.set)
        for key in changes.unset:
            flat.pop(key, None)
    return flat


def data_at(history: Iterable[HistoryRow], until: int | None = None) -> dict[str, Any]:
    """The author's data as it was at a revision."""
    return {k[5:]: v for k, v in fold(history, until).items() if k.startswith("data.")}


def differs(snapshot: Snapshot, history: Iterable[HistoryRow]) -> list[str]:
    """Flat keys in which a snapshot and the fold of its history differ; empty when they agree."""
    told = fold(history)
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(flatten(snapshot)))
    return sorted(key for key in told.keys() | kept.keys() if told.get(key, ...) != kept.get(key, ...))

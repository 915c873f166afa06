"""What the API tells, as the records that the engine's verbs return."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from stepkeel.engine.bulk import Bulk
from stepkeel.engine.result import Entry, Info
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.definition import Definition
from stepkeel.model.event import Event
from stepkeel.model.instant import to_micros
from stepkeel.model.snapshot import Failure

__all__ = ["Items", "Told", "breaker_of", "bulk_of", "data_as", "entry_of", "failure_of", "info_of", "plain_filters"]

Told = dict[str, Any]


class Items(msgspec.Struct):
    """A list, and what leads to its next page."""

    items: list[dict[str, Any]]
    cursor: str | None = None
    more: bool = False


def data_as(definition: Definition | None, data: Any) -> Any:
    """The author's type, where it is known here."""
    return data if definition is None or data is None else definition.data.decode(msgspec.json.encode(data))


def info_of(told: Told, definition: Definition | None = None) -> Info:
    found = msgspec.convert({"failure": None, **told, "data": None}, Info, strict=False)
    object.__setattr__(found, "data", data_as(definition, told.get("data")))
    return found


def entry_of(told: Told) -> Entry:
    events = tuple(Event(e["type"], e["path"], e["detail"]) for e in told["events"])
    return Entry(
        told["revision"],
        datetime.fromisoformat(told["at"]),
        told["actor"],
        told["worker"],
        events,
        told["set"],
        tuple(told["unset"]),
    )


def failure_of(told: Told | None) -> Failure | None:
    return None if told is None else msgspec.convert(told, Failure)


def bulk_of(found: Items) -> Bulk:
    by: dict[str, dict[str, str]] = {"done": {}, "pending": {}, "refused": {}}
    for each in found.items:
        by[each["outcome"]][each["id"]] = each["reason"]
    return Bulk(tuple(by["done"]), by["refused"], tuple(by["pending"]), found.more)


def breaker_of(told: Told) -> BreakerRow:
    def at(name: str) -> int:
        return 0 if told[name] is None else to_micros(datetime.fromisoformat(told[name]))

    return BreakerRow(told["name"], 0, told["state"], told["recent"], at("until"), at("opened_at"), 0, told["reason"])


def plain_filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters as a body has them: those that are said, statuses as a list."""
    said = {k: v for k, v in filters.items() if v is not None}
    if isinstance(said.get("status"), str):
        said["status"] = [said["status"]]
    return said

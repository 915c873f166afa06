"""Which rows a query means, where no database answers it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from stepkeel.model.commit import Row
from stepkeel.store.port import Query

__all__ = ["matching"]


def matching(rows: Iterable[Row], query: Query) -> list[Row]:
    """Those that match, in the order of the query, from behind its `after`, at most its limit."""

    def value(row: Row) -> tuple[int, str]:
        return (row.created_at if query.sort == "created" else row.updated_at), row.id

    found = sorted((r for r in rows if _matches(r, query)), key=value, reverse=query.descending)
    if query.after is not None:
        after = query.after
        found = [r for r in found if (value(r) < after if query.descending else value(r) > after)]
    return found[: query.limit]


def _matches(row: Row, q: Query) -> bool:
    exact = (
        (q.tenant, row.tenant), (q.definition, row.definition), (q.version, row.version),
        (q.correlation_id, row.correlation_id), (q.key, row.key), (q.parent, row.parent),
    )  # fmt: skip
    if any(want is not None and want != have for want, have in exact):
        return False
    if row.archived != q.archived or (q.ids and row.id not in q.ids) or (q.status and row.status not in q.status):
        return False
    if q.state is not None and q.state not in (row.state, row.label):
        return False
    if q.fault is not None and q.fault != (row.fault is not None):
        return False
    spans = (
        (row.created_at, q.created_from, q.created_to),
        (row.updated_at, q.updated_from, q.updated_to),
        (row.completed_at, q.completed_from, q.completed_to),
    )
    for at, start, end in spans:
        if (start is not None and (at is None or at < start)) or (end is not None and (at is None or at >= end)):
            return False
    if q.attributes:
        kept: dict[str, Any] = msgspec.json.decode(row.attributes)
        return all(kept.get(k, ...) == v for k, v in q.attributes.items())
    return True

"""The statements of queries.sql by name, and the WHERE of lists."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

from stepkeel.store.port import Query

__all__ = ["list_statement", "migrations", "statements"]


@functools.cache
def statements() -> dict[str, str]:
    text = files("stepkeel.store.sqlite").joinpath("queries.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
    return found


@functools.cache
def migrations() -> tuple[str, ...]:
    """Numbered, forward only; the n-th leads to schema version n."""
    folder = files("stepkeel.store.sqlite").joinpath("migrations")
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(f.read_text(encoding="utf-8") for f in found)


def list_statement(query: Query) -> tuple[str, list[Any]]:
    """The statement of a list and its parameters; keyset paging on (sort value, id)."""
    conditions, values = _conditions(query)
    table = "archive_instances" if query.archived else "instances"
    # Ids are time-ordered: sorting by creation is sorting by id, which the table already is.
    column = "id" if query.sort == "created" else "updated_at"
    way, beyond = ("desc", "<") if query.descending else ("asc", ">")
    if query.after is not None:
        at, last = query.after
        if column == "id":
            conditions.append(f"id {beyond} ?")
            values.append(last)
        else:
            conditions.append(f"(updated_at, id) {beyond} (?, ?)")
            values += [at, last]
    where = f"where {' and '.join(conditions)}" if conditions else ""
    order = f"id {way}" if column == "id" else f"updated_at {way}, id {way}"
    columns = statements()["row"].partition("from instances")[0]
    return f"{columns}, {int(query.archived)} from {table} {where} order by {order} limit ?", [*values, query.limit]


def _conditions(query: Query) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for column in ("tenant", "definition", "version", "correlation_id", "key"):
        value = getattr(query, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    for column, several in (("id", query.ids), ("status", query.status)):
        if several:
            conditions.append(f"{column} in ({', '.join('?' * len(several))})")
            values += several
    if query.state is not None:
        conditions.append("(state = ? or label = ?)")
        values += [query.state, query.state]
    if query.fault is not None:
        conditions.append(f"fault is {'not ' if query.fault else ''}null")
    for column in ("created", "updated", "completed"):
        for bound, compare in (("from", ">="), ("to", "<")):
            value = getattr(query, f"{column}_{bound}")
            if value is not None:
                conditions.append(f"{column}_at {compare} ?")
                values.append(value)
    for name, value in query.attributes.items():
        # `->>` gives SQL values: booleans come as 0 and 1, as they do here.
        conditions.append("cast(attributes as text) ->> ? is ?")
        values += [f'$."{name}"', int(value) if isinstance(value, bool) else value]
    return conditions, values

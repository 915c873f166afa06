"""What the SQL stores share: statements by name from a file, and the WHERE of lists."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from stepkeel.store.fact import SIZES
from stepkeel.store.port import Query, TaskQuery

__all__ = ["list_statement", "migrations", "statements", "tasks_statement"]

Matches = Callable[[str, Any, Callable[[Any], str]], str]


_LADDER = re.compile(r"bounds_reached\(([^()]*)\)")


def _with_ladder(statement: str) -> str:
    """The statement with how many of the bounds a duration reaches in place of `bounds_reached(duration)`: found by halving, for

    it is asked of every row, and no function for it is known to every database.
    """

    def rung(duration: str, low: int, high: int) -> str:
        if low == high:
            return str(low)
        middle = (low + high) // 2
        return (
            f"case when {duration} < {SIZES[middle]} then {rung(duration, low, middle)} else {rung(duration, middle + 1, high)} end"
        )

    return _LADDER.sub(lambda found: rung(found.group(1), 0, len(SIZES)), statement)


@functools.cache
def statements(package: str) -> dict[str, str]:
    """The statements of a package's queries.sql, by the name in the line `-- name: ...` above each."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        assert name.strip() not in found, f"two statements are called {name.strip()}"
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        found[name.strip()] = _with_ladder("\n".join(lines).strip().removesuffix(";"))
    return found


@functools.cache
def migrations(package: str) -> tuple[str, ...]:
    """Numbered, forward only; the n-th leads to schema version n."""
    folder = files(package).joinpath("migrations")
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(f.read_text(encoding="utf-8") for f in found)


def list_statement(query: Query, columns: str, table: str, mark: Callable[[int], str], attribute: Matches) -> tuple[str, list[Any]]:
    """The statement of a list and its parameters; keyset paging on (sort value, id).

    mark        the n-th parameter as this database writes it, from 1
    attribute   the condition that a search attribute has a value
    """
    values: list[Any] = []

    def given(value: Any) -> str:
        values.append(value)
        return mark(len(values))

    conditions = _conditions(query, given, attribute)
    # Ids are time-ordered: sorting by creation is sorting by id, which the table already is.
    column = "id" if query.sort == "created" else "updated_at"
    way, beyond = ("desc", "<") if query.descending else ("asc", ">")
    if query.after is not None:
        at, last = query.after
        if column == "id":
            conditions.append(f"id {beyond} {given(last)}")
        else:
            conditions.append(f"(updated_at, id) {beyond} ({given(at)}, {given(last)})")
    where = f"where {' and '.join(conditions)}" if conditions else ""
    order = f"id {way}" if column == "id" else f"updated_at {way}, id {way}"
    return f"{columns} from {table} {where} order by {order} limit {given(query.limit)}", values


def _conditions(query: Query, given: Callable[[Any], str], attribute: Matches) -> list[str]:
    conditions: list[str] = []
    for column in ("tenant", "definition", "version", "correlation_id", "key", "parent"):
        value = getattr(query, column)
        if value is not None:
            conditions.append(f"{column} = {given(value)}")
    for column, several in (("id", query.ids), ("status", query.status)):
        if several:
            conditions.append(f"{column} in ({', '.join(given(v) for v in several)})")
    if query.state is not None:
        conditions.append(f"(state = {given(query.state)} or label = {given(query.state)})")
    if query.fault is not None:
        conditions.append(f"fault is {'not ' if query.fault else ''}null")
    for column in ("created", "updated", "completed"):
        for bound, compare in (("from", ">="), ("to", "<")):
            value = getattr(query, f"{column}_{bound}")
            if value is not None:
                conditions.append(f"{column}_at {compare} {given(value)}")
    for name, value in query.attributes.items():
        conditions.append(attribute(name, value, given))
    return conditions


FAR = 9_223_372_036_854_775_807  # due never


def tasks_statement(
    query: TaskQuery, columns: str, table: str, mark: Callable[[int], str], among: Callable[[str, str], str]
) -> tuple[str, list[Any]]:
    """The statement of a list of tasks and its parameters. `among`: the condition that a name is in a column of names."""
    values: list[Any] = []

    def given(value: Any) -> str:
        values.append(value)
        return mark(len(values))

    conditions = [f"{c} = {given(v)}" for c in _EXACT if (v := getattr(query, c)) is not None]
    for column, several in (("id", query.ids), ("status", query.status)):
        if several:
            conditions.append(f"{column} in ({', '.join(given(v) for v in several)})")
    mine: list[str] = []
    if query.person is not None:
        mine += [f"{column} = {given(query.person)}" for column in ("assignee", "claimed_by")]
        mine.append(among("candidates", given(query.person)))
    if query.roles:
        mine.append(f"(assignee = '' and role in ({', '.join(given(r) for r in query.roles)}))")
    if mine:
        conditions.append(f"({' or '.join(mine)})")
    for value, compare in ((query.due_from, ">="), (query.due_to, "<")):
        if value is not None:
            conditions.append(f"due_at {compare} {given(value)}")
    if query.text is not None:
        plain = query.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").lower()
        conditions.append(f"lower(title) like {given(f'%{plain}%')} escape '\\'")
    due = f"coalesce(due_at, {FAR})"
    if query.after is not None:
        at, last = query.after
        conditions.append(f"id > {given(last)}" if query.sort == "opened" else f"({due}, id) > ({given(at)}, {given(last)})")
    where = f"where {' and '.join(conditions)}" if conditions else ""
    order = "id" if query.sort == "opened" else f"{due}, id"
    return f"{columns} from {table} {where} order by {order} limit {given(query.limit)}", values


_EXACT = ("tenant", "instance_id", "definition", "role", "assignee", "claimed_by")

"""The statements of queries.sql by name, and lists as SQLite writes them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from stepkeel.store import sql
from stepkeel.store.port import Query, TaskQuery

__all__ = ["list_statement", "migrations", "statements", "tasks_statement"]

_PACKAGE = "stepkeel.store.sqlite"
statements = functools.partial(sql.statements, _PACKAGE)
migrations = functools.partial(sql.migrations, _PACKAGE)


def list_statement(query: Query) -> tuple[str, list[Any]]:
    """The statement of a list and its parameters; the last column says whether it reads the archive."""
    columns = statements()["row"].partition("from instances")[0]
    table = "archive_instances" if query.archived else "instances"
    return sql.list_statement(query, f"{columns}, {int(query.archived)}", table, lambda _: "?", _attribute)


def _attribute(name: str, value: Any, given: Callable[[Any], str]) -> str:
    # `->>` gives SQL values: booleans come as 0 and 1, as they do here.
    path = given(f'$."{name}"')
    return f"cast(attributes as text) ->> {path} is {given(int(value) if isinstance(value, bool) else value)}"


def tasks_statement(query: TaskQuery) -> tuple[str, list[Any]]:
    """The statement of a list of tasks and its parameters."""
    columns = statements()["task"].partition("\nfrom tasks")[0]
    return sql.tasks_statement(query, columns, "tasks", lambda _: "?", _among)


def _among(column: str, name: str) -> str:
    return f"exists (select 1 from json_each({column}) where value = {name})"

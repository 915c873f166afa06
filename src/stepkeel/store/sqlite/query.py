"""The statements of queries.sql by name, and lists as SQLite writes them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from stepkeel.store import sql
from stepkeel.store.port import Query

__all__ = ["list_statement", "migrations", "statements"]

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

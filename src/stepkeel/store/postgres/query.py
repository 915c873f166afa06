"""The statements of queries.sql by name, for a schema; and lists as PostgreSQL writes them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

from stepkeel.store import sql
from stepkeel.store.port import Query, TaskQuery

__all__ = ["TENANT_SETTING", "list_statement", "migrations", "quoted", "statements", "tasks_statement"]

TENANT_SETTING = "stepkeel.tenant"  # whose rows are shown to the role of tenants

_PACKAGE = "stepkeel.store.postgres"
# Microseconds of the server's clock, which runs on within a statement; a test's own time instead where one is given.
_CLOCK = re.compile(r"clock\(\$(\d+)\)")
_CLOCK_SQL = r"coalesce($\1::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint)"


def quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'


def _placed(text: str, schema: str) -> str:
    return _CLOCK.sub(_CLOCK_SQL, text).replace("stepkeel.", f"{quoted(schema)}.")


@functools.cache
def statements(schema: str) -> dict[str, str]:
    return {name: _placed(text, schema) for name, text in sql.statements(_PACKAGE).items()}


@functools.cache
def migrations(schema: str) -> tuple[str, ...]:
    """Numbered, forward only; the n-th leads to schema version n."""
    return tuple(_placed(text, schema) for text in sql.migrations(_PACKAGE))


def list_statement(query: Query, schema: str) -> tuple[str, list[Any]]:
    """The statement of a list and its parameters."""
    table = f"{quoted(schema)}.{'archive_instances' if query.archived else 'instances'}"
    return sql.list_statement(query, statements(schema)["columns"], table, lambda n: f"${n}", _attribute)


def _attribute(name: str, value: Any, given: Callable[[Any], str]) -> str:
    if value is None:
        return f"coalesce(attributes -> {given(name)}, 'null') = 'null'"
    # The index holds only rows that have attributes, so the condition names them.
    return f"attributes <> '{{}}' and attributes @> {given(json.dumps({name: value}))}::jsonb"


def tasks_statement(query: TaskQuery, schema: str) -> tuple[str, list[Any]]:
    """The statement of a list of tasks and its parameters."""
    return sql.tasks_statement(query, statements(schema)["task_columns"], f"{quoted(schema)}.tasks", lambda n: f"${n}", _among)


def _among(column: str, name: str) -> str:
    return f"{column} @> to_jsonb({name}::text)"

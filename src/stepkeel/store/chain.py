"""The chains of the audit log: in memory, and how the SQL stores write and read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from stepkeel.model.act import Act, ActQuery, ActRow, Head, sealed

__all__ = ["Chains", "acts_statement", "appended", "by_tenant", "values_of"]

_COLUMNS = tuple(f.name for f in msgspec.structs.fields(ActRow))
_EXACT = ("tenant", "actor", "verb", "kind", "subject", "instance_id")
_BOUNDS = (("seq", "after", ">"), ("seq", "before", "<"), ("at", "at_from", ">="), ("at", "at_to", "<"))


def values_of(row: ActRow) -> tuple[Any, ...]:
    return msgspec.structs.astuple(row)


def by_tenant(acts: Iterable[Act]) -> dict[str, list[Act]]:
    """In the order in which their heads are locked, so that two transactions never wait for each other."""
    found: dict[str, list[Act]] = {}
    for act in acts:
        found.setdefault(act.tenant, []).append(act)
    return dict(sorted(found.items()))


def appended(acts: Iterable[Act], heads: Mapping[str, Head]) -> tuple[list[ActRow], dict[str, Head]]:
    """The entries, and the heads that follow."""
    rows: list[ActRow] = []
    after: dict[str, Head] = {}
    for tenant, theirs in by_tenant(acts).items():
        made, after[tenant] = sealed(theirs, heads.get(tenant, Head()))
        rows += made
    return rows, after


def acts_statement(query: ActQuery, table: str, mark: Callable[[int], str]) -> tuple[str, list[Any]]:
    """The statement of a list of entries and its parameters. `mark`: the n-th as this database writes it, from 1."""
    values: list[Any] = []

    def given(value: Any) -> str:
        values.append(value)
        return mark(len(values))

    conditions = [f"{c} = {given(v)}" for c in _EXACT if (v := getattr(query, c)) is not None]
    if query.instance_id is not None:
        conditions.append("instance_id <> ''")  # the index holds only those that are about one
    conditions += [f"{c} {op} {given(v)}" for c, name, op in _BOUNDS if (v := getattr(query, name)) is not None]
    way = "desc" if query.descending else "asc"
    sql = (
        f"select {', '.join(_COLUMNS)} from {table} where {' and '.join(conditions)} order by seq {way} limit {given(query.limit)}"
    )
    return sql, values


class Chains:
    """In memory, under the lock of whoever has them."""

    def __init__(self) -> None:
        self._heads: dict[str, Head] = {}
        self._rows: dict[str, list[ActRow]] = {}

    def append(self, acts: Iterable[Act]) -> None:
        rows, heads = appended(acts, self._heads)
        for row in rows:
            self._rows.setdefault(row.tenant, []).append(row)
        self._heads |= heads

    def head(self, tenant: str) -> Head:
        return self._heads.get(tenant, Head())

    def list(self, query: ActQuery) -> Sequence[ActRow]:
        rows = self._rows.get(query.tenant, [])
        found = [r for r in (reversed(rows) if query.descending else rows) if _matches(r, query)]
        return found[: query.limit]


def _matches(row: ActRow, q: ActQuery) -> bool:
    exact = all((v := getattr(q, name)) is None or v == getattr(row, name) for name in _EXACT)
    late = row.seq > q.after and (q.at_from is None or row.at >= q.at_from)
    return exact and late and (q.before is None or row.seq < q.before) and (q.at_to is None or row.at < q.at_to)

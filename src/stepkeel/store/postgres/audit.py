"""The audit log on the server: the last that a transaction does, for whoever holds a head keeps others from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepkeel.model.act import BEGINNING, Act, Head, told_of
from stepkeel.store.chain import appended, by_tenant, values_of

__all__ = ["append", "tell"]


async def append(connection: Any, sql: Mapping[str, str], acts: Sequence[Act]) -> None:
    """Within a transaction begun by the caller, who locks nothing more in it."""
    found = await connection.fetch(sql["lock_audit_heads"], list(by_tenant(acts)), BEGINNING)
    rows, after = appended(acts, {r[0]: Head(r[1], r[2]) for r in found})
    columns = [list(c) for c in zip(*(values_of(r) for r in rows), strict=True)]
    heads = [list(c) for c in zip(*((tenant, h.seq, h.digest) for tenant, h in after.items()), strict=True)]
    await connection.fetch(sql["add_acts"], *columns, *heads)


async def tell(connection: Any, sql: Mapping[str, str], act: Act | None, changes: int, *, counting: bool = False) -> int:
    """So much was changed; of nothing nothing is told. The changes."""
    if acts := told_of(act, changes, counting=counting):
        await append(connection, sql, acts)
    return changes

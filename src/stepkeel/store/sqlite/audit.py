"""The audit log in the file: appended to within the transaction that its caller has begun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stepkeel.model.act import Act, Head, told_of
from stepkeel.store.chain import appended, values_of

__all__ = ["append", "tell"]


def append(db: Any, sql: Mapping[str, str], acts: Iterable[Act]) -> None:
    heads: dict[str, Head] = {}
    for tenant in {a.tenant for a in acts}:
        found = db.execute(sql["audit_head"], (tenant,)).fetchone()
        if found is not None:
            heads[tenant] = Head(*found)
    rows, after = appended(acts, heads)
    db.executemany(sql["add_act"], [values_of(r) for r in rows])
    db.executemany(sql["put_audit_head"], [(tenant, h.seq, h.digest) for tenant, h in after.items()])


def tell(db: Any, sql: Mapping[str, str], act: Act | None, changes: int, *, counting: bool = False) -> int:
    """So much was changed; of nothing nothing is told. The changes."""
    if acts := told_of(act, changes, counting=counting):
        append(db, sql, acts)
    return changes

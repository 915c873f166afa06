"""Limits as they are used just now: who holds slots of them, and who waits for some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest
from stepkeel.model.instant import from_micros

__all__ = ["LimitInfo", "TicketInfo", "limits"]

MOST = 1_000


@dataclass(frozen=True, slots=True)
class TicketInfo:
    """An instance that holds slots of a limit, or waits for them.

    path     of what asked; `!hold`: the instance as a whole
    amount   slots, together
    since    when it got them; None: it waits
    """

    instance_id: str
    path: str
    amount: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """A limit that somebody holds slots of, or waits for.

    name      with the scope and the value of its key
    size      slots, as the code said that asked first
    per       seconds, where it is a rate: what it gave counts that long
    held      slots that are taken, also by other tenants
    waiting   how many wait, also of other tenants
    tickets   of this tenant: holders, then those that wait, in order; the first of them
    """

    name: str
    size: int
    per: float | None
    held: int
    waiting: int
    tickets: tuple[TicketInfo, ...]


async def limits(core: Core, name: str | None, after: str, limit: int, tickets: int) -> Sequence[LimitInfo]:
    """In order of their names, those behind `after`; or the one of that name. Raises BadRequest."""
    if not 1 <= limit <= MOST or not 0 <= tickets <= MOST:
        raise BadRequest(f"limit={limit}, tickets={tickets}", remedy=f"at most {MOST:,} of each; of limits one at least")
    found: list[LimitInfo] = []
    for pool in await core.store.pools(core.tenant, name, after, limit):
        rows = await core.store.pool(pool.name, tickets) if tickets else []
        own = tuple(
            TicketInfo(t.instance_id, t.path, t.amount, None if t.granted_at is None else from_micros(t.granted_at))
            for t in rows
            if t.tenant == core.tenant
        )
        per = None if pool.per is None else pool.per / 1_000_000
        found.append(LimitInfo(pool.name, pool.size, per, pool.held, pool.waiting, own))
    return found

"""Who of those that wait for slots is next, in plain Python; the SQL stores say the same in their statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from stepkeel.model.commit import Delivery, PoolRow, Step, TicketRow
from stepkeel.model.input import HoldGranted

__all__ = ["Tickets", "choose", "fitting", "grant_of", "in_order", "pools_of"]


def in_order(tickets: Iterable[TicketRow]) -> list[TicketRow]:
    """Those that hold a slot, then those that wait, first come first."""
    return sorted(tickets, key=lambda t: (t.granted_at is None, t.granted_at or 0, t.rank, t.instance_id, t.path, t.n))


class Tickets:
    """Tickets in memory, by instance, path, pool and number."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str, int], TicketRow] = {}

    def all(self) -> list[TicketRow]:
        return list(self._rows.values())

    def queue(self, instance_id: str, tenant: str, step: Step) -> None:
        """What a step asks for and returns; what counts for a rate stays until its span is over."""
        for a in step.asked:
            ticket = TicketRow(instance_id, a.path, a.pool, a.n, tenant, a.size, a.per, a.rank, None, a.amount)
            self._rows.setdefault((instance_id, a.path, a.pool, a.n), ticket)
        for r in step.returned:
            place = (instance_id, r.path, r.pool, r.n)
            known = self._rows.get(place)
            if known is not None and (known.per is None or known.granted_at is None):
                del self._rows[place]

    def sweep(self, now: int, alive: Callable[[str], bool]) -> None:
        """Remove what counts for nothing any more."""
        for place, t in list(self._rows.items()):
            expired = t.per is not None and t.granted_at is not None and t.granted_at + t.per <= now
            if expired or (t.granted_at is None and not alive(t.instance_id)):
                del self._rows[place]

    def granted(self, chosen: Iterable[TicketRow], now: int) -> None:
        for t in chosen:
            self._rows[t.instance_id, t.path, t.pool, t.n] = replace(t, granted_at=now)

    def forget(self, instance_id: str) -> None:
        self._rows = {p: t for p, t in self._rows.items() if t.instance_id != instance_id}

    def clear(self) -> None:
        self._rows.clear()


def choose(tickets: Sequence[TicketRow], now: int, limit: int) -> tuple[list[TicketRow], int | None]:
    """Waiting tickets whose pool has a free slot, in order; and when a slot of a rate is next free for one that waits.

    How large a pool is, its first waiting ticket says: limits change with the code that asks. One that takes more slots than are
    free is waited for: none behind it is served before.
    """
    pools: dict[str, list[TicketRow]] = {}
    for ticket in tickets:
        pools.setdefault(ticket.pool, []).append(ticket)
    chosen: list[TicketRow] = []
    free_at: list[int] = []
    for _, members in sorted(pools.items()):
        waiting = [t for t in in_order(members) if t.granted_at is None]
        if not waiting:
            continue
        head = waiting[0]
        held = [t for t in members if t.granted_at is not None and _counts(t, head, now)]
        served = fitting(waiting, head.size - sum(t.amount for t in held))
        chosen += served
        if head.per is not None and len(served) < len(waiting):
            free_at.append(min((t.granted_at or 0 for t in held), default=now) + head.per)
    return chosen[:limit], min(free_at, default=None)


def fitting(waiting: Iterable[TicketRow], room: int) -> list[TicketRow]:
    """The first of them that together take no more than so many slots."""
    found: list[TicketRow] = []
    for ticket in waiting:
        room -= ticket.amount
        if room < 0:
            break
        found.append(ticket)
    return found


def _counts(ticket: TicketRow, head: TicketRow, now: int) -> bool:
    return head.per is None or (ticket.granted_at or 0) + head.per > now


def grant_of(ticket: TicketRow, now: int) -> Delivery:
    """The row that tells the instance."""
    payload = msgspec.json.encode(HoldGranted(ticket.path, ticket.pool, ticket.n))
    key = f"{ticket.path}/{ticket.pool}/{ticket.n}"
    return Delivery(ticket.instance_id, ticket.tenant, "grant", ticket.pool, payload, key, "", now)


def pools_of(tickets: Iterable[TicketRow], tenant: str | None, name: str | None, after: str, limit: int, now: int) -> list[PoolRow]:
    """Pools with tickets of a tenant, and what counts in them."""
    pools: dict[str, list[TicketRow]] = {}
    for ticket in tickets:
        pools.setdefault(ticket.pool, []).append(ticket)
    found: list[PoolRow] = []
    for each, members in sorted(pools.items()):
        if each <= after or name not in (None, each) or not any(tenant in (None, t.tenant) for t in members):
            continue
        ordered = in_order(members)
        head = next((t for t in ordered if t.granted_at is None), ordered[0])
        held = sum(t.amount for t in members if t.granted_at is not None and _counts(t, head, now))
        found.append(PoolRow(each, head.size, head.per, held, sum(t.granted_at is None for t in members)))
    return found[:limit]

"""How a batch of claims is shared, when more is due than there is room for.

| between | by | so that |
|---|---|---|
| priorities | weights, and at least one slot each | none starves |
| tenants of a priority | who holds fewest at this worker is first (max-min fairness) | nobody waits for a flood but who made it |
| tenants that hold and got none | at most `spare` slots more, one each | they do not wait until others are done |
| definitions of a tenant | the same, from nothing | many of one do not hide the others |

Max-min fairness: Bertsekas and Gallager, Data Networks, 2nd ed., section 6.5.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["PRIORITIES", "TENANTS", "Turn", "divide", "level", "shares"]

PRIORITIES = 5
TENANTS = 64  # looked for at a time, for each definition and priority; a further look goes on behind them
_WEIGHTS = (16, 8, 4, 2, 1)

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Turn:
    """What of a tenant is due, of one definition and priority: how many (counted up to the limit), and since when."""

    definition: str
    version: int
    priority: int
    tenant: str
    due: int
    since: int


def shares(due: Mapping[int, int], limit: int) -> dict[int, int]:
    """Slots for each priority that has due rows. Slots one cannot use go to the others, the most urgent first."""
    waiting = {p: n for p, n in sorted(due.items()) if n > 0}
    if limit <= 0 or not waiting:
        return {}
    total = sum(_WEIGHTS[p] for p in waiting)
    slots = {p: min(n, max(1, limit * _WEIGHTS[p] // total)) for p, n in waiting.items()}
    left = limit - sum(slots.values())
    for p, n in waiting.items():
        more = min(left, n - slots[p]) if left > 0 else 0
        slots[p] += more
        left -= more
    return slots


def level(wants: Mapping[K, int], held: Mapping[K, int], limit: int) -> dict[K, int]:
    """`limit` slots, each to whoever holds fewest and wants one; the first named of those that hold as few."""
    given: dict[K, int] = dict.fromkeys(wants, 0)
    open_: list[K] = [k for k, n in wants.items() if n > 0]
    left = limit
    while open_ and left > 0:
        lowest = min(held.get(k, 0) + given[k] for k in open_)
        low = [k for k in open_ if held.get(k, 0) + given[k] == lowest]
        above = [h for k in open_ if (h := held.get(k, 0) + given[k]) > lowest]
        # All of the lowest rise together: to the next above them, to the first that wants no more, or as far as it goes.
        rise = min(wants[k] - given[k] for k in low)
        rise = min(rise, min(above) - lowest) if above else rise
        rise = min(rise, left // len(low))
        if rise == 0:
            for k in low[:left]:
                given[k] += 1
            return given
        for k in low:
            given[k] += rise
        left -= rise * len(low)
        open_ = [k for k in open_ if given[k] < wants[k]]
    return given


def divide(turns: Sequence[Turn], held: Mapping[str, int], limit: int, spare: int = 0) -> list[tuple[Turn, int]]:
    """How many of each turn are claimed: those of which none are left out. `held`: instances of each tenant at this worker."""
    by_priority: dict[int, dict[str, list[Turn]]] = {}
    by_age = sorted(
        turns, key=lambda t: (t.since, t.tenant, t.definition, t.version)
    )  # who has waited longest comes first among equals
    for turn in by_age:
        by_priority.setdefault(turn.priority, {}).setdefault(turn.tenant, []).append(turn)
    counts = {p: sum(t.due for of in tenants.values() for t in of) for p, tenants in by_priority.items()}
    now_held = dict(held)
    divided: list[tuple[Turn, int]] = []
    for priority, room in shares(counts, limit).items():
        tenants = by_priority[priority]
        given = level({t: sum(turn.due for turn in of) for t, of in tenants.items()}, now_held, room)
        for tenant, slots in given.items():
            now_held[tenant] = now_held.get(tenant, 0) + slots
            each = level({n: t.due for n, t in enumerate(tenants[tenant])}, {}, slots)
            divided += [(tenants[tenant][n], take) for n, take in each.items() if take]
    urgent = sorted(turns, key=lambda t: (t.priority, t.since), reverse=True)  # the first of each tenant comes last, and stays
    without = {t.tenant: t for t in urgent if not now_held.get(t.tenant)}
    return divided + [(t, 1) for t in sorted(without.values(), key=lambda t: t.since)[:spare]]

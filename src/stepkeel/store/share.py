"""How a batch of claims is shared between priorities: weighted, and at least one slot each, so that none starves."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PRIORITIES", "shares"]

PRIORITIES = 5
_WEIGHTS = (16, 8, 4, 2, 1)


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

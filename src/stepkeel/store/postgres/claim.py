"""What a worker may claim now, read from the answer of the statement `due`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from stepkeel.store.port import Held
from stepkeel.store.share import TENANTS, Turn, divide, level, shares

__all__ = ["Found", "read"]

_turns = msgspec.json.Decoder(list[tuple[str, int, int]])


@dataclass(frozen=True, slots=True)
class Found:
    """What to ask of which statement; how many are due (counted up to the limit), when the next are; tenants left out.

    after   behind which tenant the next look goes on, where there are more than one look takes in
    """

    statement: Literal["claim", "claim_turns"]
    asked: Sequence[tuple[Any, ...]]
    due: int
    ahead: Sequence[int]
    left: frozenset[str]
    after: str


def read(told: Sequence[Sequence[Any]], limit: int, held: Held, spare: int, after: str) -> Found:
    """`told`: rows of (now, definition, version, priority, due, ahead, turns), of the tenants behind `after`."""
    due = sum(r[4] for r in told)
    ahead = [r[5] for r in told if r[5] is not None]
    if due <= limit:
        return Found("claim", [(*r[1:4], r[4]) for r in told if r[4]], due, ahead, frozenset(), "")
    turns: list[Turn] = []
    full: list[str] = []
    for r in told:
        seen = _turns.decode(r[6]) if r[6] else []
        turns += [Turn(r[1], r[2], r[3], tenant, n, since) for tenant, n, since in seen if n]
        full += [seen[-1][0]] if len(seen) == TENANTS else []
    left, behind = frozenset(t.tenant for t in turns), min(full, default="")
    if not left or (len(left) == 1 and limit and not after and not behind):  # there is one tenant alone
        return Found("claim", _by_place(told, limit), due, ahead, left, behind)
    asked = [(t.definition, t.version, t.priority, t.tenant, slots) for t, slots in divide(turns, held(), limit, spare)]
    return Found("claim_turns", asked, due, ahead, left, behind)


def _by_place(told: Sequence[Sequence[Any]], limit: int) -> list[tuple[str, int, int, int]]:
    """Definitions of one priority have equal shares."""
    places = {n: r for n, r in enumerate(told) if r[4]}
    by_priority: dict[int, dict[int, int]] = {}
    for n, r in places.items():
        by_priority.setdefault(r[3], {})[n] = r[4]
    room = shares({p: sum(each.values()) for p, each in by_priority.items()}, limit)
    asked: list[tuple[str, int, int, int]] = []
    for priority, slots in room.items():
        asked += [(*places[n][1:4], take) for n, take in level(by_priority[priority], {}, slots).items() if take]
    return asked

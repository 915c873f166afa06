"""What a worker may claim now: the oldest, or each tenant's share where more is due than there is room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepkeel.model.commit import Row
from stepkeel.store.port import Held, Wanted
from stepkeel.store.share import PRIORITIES, TENANTS, Turn, divide, shares
from stepkeel.store.sqlite.connection import Connection

__all__ = ["Dues", "Found", "take"]

Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What to claim, as (due since, id); tenants of whom something is left; when to look again."""

    picked: Sequence[tuple[int, str]]
    left: frozenset[str]
    next_wake: int | None


class Dues:
    """Looks at what is due. It remembers behind which tenant to go on where there are more than one look takes in."""

    def __init__(self, db: Connection, sql: Mapping[str, str]) -> None:
        self._db = db
        self._sql = sql
        self._after = ""

    def look(self, now: int, wanted: Sequence[Wanted], limit: int, held: Held, spare: int) -> Found:
        found: dict[Place, list[tuple[int, str]]] = {}
        soonest: list[int] = []
        # One probe for each (definition, version, priority); one row more than there is room for tells that some are left.
        for want in wanted:
            for priority in range(PRIORITIES):
                place = (want.definition, want.version, priority)
                if due := self._db.all(self._sql["due"], (*place, now, limit + 1)):
                    found[place] = [(at, i) for i, at in due]
                ahead = self._db.all(self._sql["next_wake"], (*place, now))[0][0]
                if ahead is not None:
                    soonest.append(ahead)
        if sum(map(len, found.values())) <= limit:
            return Found([pair for due in found.values() for pair in due], frozenset(), min(soonest, default=None))
        begun = self._after
        turns = self._turns(found, now, limit)
        tenants = frozenset(t.tenant for t in turns)
        alone = not tenants or (len(tenants) == 1 and limit and not begun and not self._after)
        picked = _oldest(found, limit) if alone else self._each(turns, now, limit, held, spare)
        return Found(picked, tenants, now)

    def _turns(self, places: Mapping[Place, object], now: int, limit: int) -> list[Turn]:
        turns: list[Turn] = []
        full: list[str] = []
        for definition, version, priority in places:
            values = {
                "definition": definition, "version": version, "priority": priority,
                "now": now, "limit": max(limit, 1), "after": self._after, "tenants": TENANTS,
            }  # fmt: skip
            seen = self._db.all(self._sql["turns"], values)
            turns += [Turn(definition, version, priority, tenant, n, since) for tenant, n, since in seen if n]
            full += [seen[-1][0]] if len(seen) == TENANTS else []
        self._after = min(full, default="")
        return turns

    def _each(self, turns: Sequence[Turn], now: int, limit: int, held: Held, spare: int) -> list[tuple[int, str]]:
        picked: list[tuple[int, str]] = []
        for t, slots in divide(turns, held(), limit, spare):
            due = self._db.all(self._sql["due_of"], (t.definition, t.version, t.priority, t.tenant, now, slots))
            picked += [(at, i) for i, at in due]
        return picked


def _oldest(found: Mapping[Place, list[tuple[int, str]]], limit: int) -> list[tuple[int, str]]:
    due: dict[int, list[tuple[int, str]]] = {}
    for (_, _, priority), pairs in found.items():
        due.setdefault(priority, []).extend(pairs)
    room = shares({p: len(pairs) for p, pairs in due.items()}, limit)
    return [pair for p, n in room.items() for pair in sorted(due[p])[:n]]


def take(to: Connection, sql: Mapping[str, str], worker: str, picked: Sequence[tuple[int, str]]) -> list[Row]:
    rows: list[Row] = []
    for due_at, instance_id in picked:
        to.db.execute(sql["claim"], {"worker": worker, "id": instance_id})
        if to.db.changes():
            columns = list(to.db.execute(sql["row"], (instance_id,)).fetchone())
            columns[11] = due_at  # decisions are never made before the row was due
            rows.append(Row(*columns))
    return rows

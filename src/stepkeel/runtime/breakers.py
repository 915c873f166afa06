"""Circuit breakers as a worker knows them: asked before an attempt, told after it, shared with the fleet through the store.

What fails is told at once, what goes well at the next round and only where something has failed lately: a healthy service costs
no write. What others have told is read every round, so what one worker has opened is open for another a second later at most.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from stepkeel.errors import Unavailable
from stepkeel.ids import fraction
from stepkeel.kernel.breaker import MOMENT, after, tried, waits
from stepkeel.model.breaker import BreakerRow
from stepkeel.model.definition import Definition
from stepkeel.model.node import Activity
from stepkeel.model.policy import Breaker
from stepkeel.runtime.services.service import Service
from stepkeel.runtime.worker import Worker

__all__ = ["Breakers", "Passage", "breaker_name"]

_log = logging.getLogger("stepkeel.worker")
SPREAD = 0.1  # those that wait for the same moment come spread over such a part of the time a breaker is open
TRIES = 20


def breaker_name(activity: Activity) -> str:
    assert activity.breaker is not None
    return activity.breaker.service or f"activity/{activity.name}"


@dataclass(frozen=True, slots=True)
class Passage:
    """An attempt that was let through (`wait` 0), and is told of afterwards; or how long it has to wait, in microseconds."""

    name: str
    policy: Breaker
    trial: bool = False
    wait: int = 0


@dataclass(frozen=True, slots=True)
class _Told:
    passage: Passage
    failed: bool
    reason: str


class Breakers(Service):
    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._rows: dict[str, BreakerRow] = {}
        self._telling: dict[str, list[_Told]] = {}

    async def round(self) -> float:
        """Tell what is left to be told, read what others have told."""
        for name in list(self._telling):
            await self._tell(name)
        names = self._names(self._worker.definitions.values())
        if names:
            for row in await self._worker.store.breakers(names):
                if row.name not in self._telling:
                    self._rows[row.name] = row
        return self._worker.settings.poll_max

    def _names(self, definitions: Iterable[Definition]) -> list[str]:
        activities = [a for d in definitions for a in d.activities.values() if a.breaker is not None]
        return sorted({breaker_name(a) for a in activities})

    def _known(self, name: str) -> BreakerRow:
        return self._rows.get(name) or BreakerRow(name)

    # -- an attempt

    async def enter(self, activity: Activity, key: str) -> Passage:
        """`key` is the attempt's own, by which those that wait are spread."""
        policy, name = activity.breaker, breaker_name(activity)
        assert policy is not None
        wait = waits(self._known(name), self._worker.now())
        if wait is None and await self._try(name, policy):
            return Passage(name, policy, trial=True)
        row = self._known(name)
        wait = waits(row, self._worker.now())
        if wait == 0:
            return Passage(name, policy)
        span = policy.open_micros if row.state == "open" else MOMENT
        spread = round(span * SPREAD * fraction(zlib.crc32(key.encode())))
        return Passage(name, policy, wait=(MOMENT if wait is None else wait) + spread)

    def left(self, passage: Passage, *, failed: bool, reason: str = "") -> None:
        """The attempt is over."""
        row = self._known(passage.name)
        changed = after(row, passage.policy, self._worker.now(), failed=failed, trial=passage.trial, reason=reason)
        if changed is row:
            return
        self._rows[passage.name] = changed  # here from now on; for the others when it is stored
        self._telling.setdefault(passage.name, []).append(_Told(passage, failed, reason))
        if changed.state != row.state:
            level = logging.WARNING if failed else logging.INFO
            _log.log(level, "breaker %s is %s now: %s", passage.name, changed.state, reason or "the trial went well")
        if failed or passage.trial:
            self._worker.background(self._tell(passage.name))

    # -- the store

    async def _try(self, name: str, policy: Breaker) -> bool:
        """Be the one that tries. False where somebody else is, or the store does not answer: who knows then?"""
        try:
            row = await self._read(name)
            if waits(row, self._worker.now()) is not None:
                return False
            trial = tried(row, policy, self._worker.now())
            if not await self._worker.store.put_breaker(trial):
                await self._read(name)
                return False
        except Unavailable:
            return False
        self._rows[name] = trial
        return True

    async def _read(self, name: str) -> BreakerRow:
        row = self._rows[name] = await self._stored(name)
        return row

    async def _stored(self, name: str) -> BreakerRow:
        rows = await self._worker.store.breakers([name])
        return rows[0] if rows else BreakerRow(name)

    async def _tell(self, name: str) -> None:
        """Bring what was seen here into what all know. Left for the next round where the store does not answer."""
        told = self._telling.pop(name, [])
        if not told:
            return
        try:
            for _ in range(TRIES):
                base = row = await self._stored(name)
                for t in told:
                    row = after(row, t.passage.policy, self._worker.now(), failed=t.failed, trial=t.passage.trial, reason=t.reason)
                row = base if row is base else replace(row, version=base.version + 1)
                if row is base or await self._worker.store.put_breaker(row):
                    self._rows[name] = row
                    return
        except Unavailable as error:
            _log.warning("breaker %s: %s", name, error)
        self._telling[name] = told + self._telling.get(name, [])

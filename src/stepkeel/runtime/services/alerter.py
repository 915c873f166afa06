"""Looks at facts of the database every so often, and tells the receivers what is wrong, and when it is over.

Of the workers that have receivers the oldest that lives does it, for the whole fleet. What it remembers is its own: who takes
over tells what is wrong then anew. A notice that was not taken is sent again at the next look, as long as the worker lives.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from dataclasses import replace

from stepkeel.connectors.alerts import Alerts, Notice
from stepkeel.engine.alert import Alert, Facts, Memory, judge
from stepkeel.engine.query import latest_failures
from stepkeel.model.instant import from_micros
from stepkeel.runtime.services.service import Service
from stepkeel.runtime.worker import Worker

__all__ = ["CAPABILITY", "Alerter"]

_log = logging.getLogger("stepkeel.alerts")
CAPABILITY = "alerts"  # among what a worker's row says that it can; definitions there have an @ in them
MOST = 100  # notices that wait to be sent: beyond, the oldest are given up
OFF = 3_600.0


class Alerter(Service):
    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.receivers: Alerts | None = None
        self._memory = Memory()
        self._active: dict[tuple[str, str], Notice] = {}
        self._unsent: list[tuple[str, Notice]] = []

    def start(self) -> None:
        if self.receivers is not None:
            super().start()

    async def round(self) -> float:
        if self.receivers is None:
            return OFF
        if await self._leads():
            self._take(judge(await self._facts(), self._memory), self.receivers)
            await self._send(self.receivers)
        else:
            self._memory, self._active, self._unsent = Memory(), {}, []
        return self.receivers.every

    async def _leads(self) -> bool:
        """Ids of workers are ordered by the time they were made."""
        worker = self._worker
        now = worker.store.now()
        alive = [w.id for w in await worker.store.workers() if w.expires_at > now and CAPABILITY in json.loads(w.capabilities)]
        return worker.id == min(alive, default="")

    async def _facts(self) -> Facts:
        store = self._worker.store
        at = store.now()
        ended: dict[str, Counter[str]] = {"completed": Counter(), "failed": Counter()}
        for m in await store.metrics(None):
            if m.status in ended:
                ended[m.status][m.definition] += m.count
        waiting: dict[str, int] = {}
        for d in await store.due(None):
            waiting[d.definition] = max(waiting.get(d.definition, 0), at - d.since)
        breakers = {b.name: b.opened_at for b in await store.breakers() if b.state == "open"}
        latest = frozenset(await latest_failures(store, None))
        return Facts(at, ended["completed"], ended["failed"], waiting, breakers, latest)

    def _take(self, found: list[Alert], receivers: Alerts) -> None:
        """What begins and what is over is to be sent. What is only told once has no end."""
        now = self._worker.store.now()
        wrong = {a.key: a for a in found}
        for key, alert in wrong.items():
            if key not in self._active:
                notice = self._notice(alert, now, receivers)
                self._queue(notice, receivers)
                if alert.severity != "info":
                    self._active[key] = notice
        for key in [k for k in self._active if k not in wrong]:
            begun = self._active.pop(key)
            self._queue(replace(begun, status="resolved"), receivers)

    def _notice(self, alert: Alert, now: int, receivers: Alerts) -> Notice:
        id = hashlib.sha256(f"{receivers.fleet}/{alert.name}/{alert.subject}/{now}".encode()).hexdigest()[:24]
        return Notice(id, "firing", alert.name, alert.subject, alert.severity, alert.summary, from_micros(now), receivers.fleet)

    def _queue(self, notice: Notice, receivers: Alerts) -> None:
        self._unsent += [(way, notice) for way in receivers.ways()]
        if len(self._unsent) > MOST:
            _log.error("%d notices are given up, for nobody takes them", len(self._unsent) - MOST)
            self._unsent = self._unsent[-MOST:]

    async def _send(self, receivers: Alerts) -> None:
        """In order, each way by itself: what one does not take keeps the other from nothing."""
        for way in receivers.ways():
            for each in [u for u in self._unsent if u[0] == way]:
                try:
                    await receivers.send(way, each[1])
                except Exception as error:  # whatever it is: an address that is gone is no reason to stop looking
                    # Not what it says: an address may hold a token.
                    _log.warning("the %s does not take notices (%s); again at the next look", way, type(error).__name__)
                    break
                self._unsent.remove(each)

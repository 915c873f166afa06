"""Asks the invariants of a page of instances every so often, on and on: what `doctor` does at once, spread over time.

It repairs nothing and folds no history. What breaks an invariant is logged as an error, once for each look at it; the
tally of the last whole round, and of the one under way, is there for whoever watches.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from stepkeel.engine.core import Core
from stepkeel.engine.doctor import OVERDUE, Finding, examine, fleet_of
from stepkeel.runtime.services.service import Service
from stepkeel.runtime.worker import Worker
from stepkeel.store.port import Query

__all__ = ["Auditor", "Tally"]

_log = logging.getLogger("stepkeel.auditor")
PAGE = 200
OFF = 3_600.0


@dataclass
class Tally:
    """`violations` and `notes` by kind, of `checked` instances."""

    checked: int = 0
    violations: Counter[str] = field(default_factory=Counter[str])
    notes: Counter[str] = field(default_factory=Counter[str])

    def add(self, findings: list[Finding]) -> None:
        for finding in findings:
            (self.violations if finding.violation else self.notes)[finding.kind] += 1


class Auditor(Service):
    """`last` is the tally of the last whole round, None before there was one; `rounds` counts them."""

    def __init__(self, worker: Worker, core: Core) -> None:
        super().__init__(worker)
        self._core = core
        self._query = Query(limit=PAGE)
        self._tally = Tally()
        self.last: Tally | None = None
        self.rounds = 0

    def start(self) -> None:
        if self._worker.settings.audit_every is not None:
            super().start()

    async def round(self) -> float:
        await self.look()
        return self._worker.settings.audit_every or OFF

    async def look(self) -> list[Finding]:
        """One page; what was found in it."""
        fleet = await fleet_of(self._core)
        rows = await self._core.store.list(self._query)
        findings = await examine(self._core, rows, fleet, histories=False, overdue=OVERDUE)
        if self._query.after is None:
            findings = [*fleet.dead, *findings]
        for finding in findings:
            if finding.violation:
                _log.error(
                    "instance %s breaks %s: %s",
                    finding.instance_id,
                    finding.kind,
                    finding.text,
                    extra={"instance_id": finding.instance_id},
                )
        self._tally.checked += len(rows)
        self._tally.add(findings)
        if len(rows) < PAGE:
            self.last, self._tally = self._tally, Tally()
            self.rounds += 1
            self._query = replace(self._query, after=None)
        else:
            self._query = replace(self._query, after=(rows[-1].created_at, rows[-1].id))
        return findings

    def facts(self) -> dict[str, Any]:
        """What the health endpoint tells of it."""
        last = self.last
        if last is None:
            return {"rounds": 0}
        return {
            "rounds": self.rounds, "checked": last.checked, "violations": dict(last.violations), "notes": dict(last.notes),
        }  # fmt: skip

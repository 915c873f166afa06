"""The one write verb on SQLite: a batch within the transaction that its caller has begun.

Nearly always every row matches, so each kind of row is one `executemany` and the count of changed rows is compared.
Where it differs, the savepoint is rolled back and the rows are applied one by one, each with its own answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import apsw
import msgspec

from stepkeel.model.act import Act
from stepkeel.model.commit import Answer, Batch, Commit, Delivery, Receipt, Start, Step, TicketRow
from stepkeel.model.snapshot import TERMINAL
from stepkeel.store.desk import columns_of
from stepkeel.store.outbox import values_of
from stepkeel.store.queue import fitting, grant_of
from stepkeel.store.sqlite.audit import append

__all__ = ["Writer"]


class _Mismatch(Exception):
    pass


class Writer:
    def __init__(self, db: Any, sql: Mapping[str, str], now: Callable[[], int]) -> None:
        self._db = db
        self._sql = sql
        self._now = now

    def apply(self, batch: Batch) -> Answer:
        self._reached: dict[str, str | None] = {}
        self._acts: list[Act] = []
        # Before any savepoint: what is rolled back to one must not be counted again.
        self._number = self._db.execute(self._sql["count_commit"]).fetchone()[0] if batch.starts or batch.commits else 0
        starts = tuple(self._start(s) for s in batch.starts)
        commits: tuple[bool, ...] = ()
        if batch.commits:
            try:
                with self._db:
                    self._together(batch.commits)
                commits = (True,) * len(batch.commits)
            except (_Mismatch, apsw.ConstraintError):
                commits = tuple(self._alone(c) for c in batch.commits)
            self._acts += [c.act for c, applied in zip(batch.commits, commits, strict=True) if c.act is not None and applied]
        answer = Answer(starts, commits, tuple(self._deliver(d) for d in batch.deliveries), self._reached)
        if self._acts:
            append(self._db, self._sql, self._acts)
        return answer

    # -- starts

    def _start(self, start: Start) -> str:
        db, row, step = self._db, start.row, start.step
        if row.key is not None:
            place = (row.tenant, row.definition, row.key)
            db.execute(self._sql["start_key"], (*place, start.id))
            if not db.changes():
                held = db.execute(self._sql["find_key"], place).fetchone()[0]
                if held != start.id:
                    return held
        db.execute(
            self._sql["start"],
            (
                start.id,
                row.tenant,
                row.definition,
                row.version,
                row.key,
                step.status,
                step.state,
                step.label,
                step.revision,
                step.snapshot,
                row.attributes,
                None if step.ended else step.wake_at,
                None if step.release else start.owner,
                row.priority,
                row.correlation_id,
                step.at,
                step.at,
                step.at if step.ended else None,
                row.parent,
            ),
        )
        if db.changes():
            self._history(start.id, row.tenant, step)
            self._queue(start.id, row.tenant, step)
            self._beyond(start.id, step)
            if start.act is not None:
                self._acts.append(start.act)
        return start.id

    def _beyond(self, instance_id: str, step: Step) -> None:
        """What a step does to other instances, and asks of people."""
        for child in step.children:
            self._start(child)
        for task in step.opened:
            self._db.execute(self._sql["open_task"], columns_of(task))
        for c in step.changed:
            self._db.execute(self._sql["change_task"], {**msgspec.structs.asdict(c), "instance_id": instance_id})
        if step.emitted:
            self._db.executemany(self._sql["emit"], [values_of(m) for m in step.emitted])
        for letter in step.sent:
            receipt = self._deliver(letter)
            if not receipt.refused:
                self._reached[letter.instance_id] = receipt.owner

    def _queue(self, instance_id: str, tenant: str, step: Step) -> None:
        """Tickets of pools, asked for and returned."""
        for a in step.asked:
            self._db.execute(self._sql["ask"], (instance_id, a.path, a.pool, a.n, tenant, a.size, a.per, a.rank, a.amount))
        for r in step.returned:
            self._db.execute(self._sql["return"], (instance_id, r.path, r.pool, r.n))

    def _history(self, instance_id: str, tenant: str, step: Step) -> None:
        for row in self._entries(instance_id, tenant, step):
            self._db.execute(self._sql["history_add"], row)

    def _entries(self, instance_id: str, tenant: str, step: Step) -> list[Any]:
        n = self._number
        return [(instance_id, h.revision, tenant, h.at, h.actor, h.worker, h.events, h.changes, n) for h in step.history]

    # -- commits

    def _together(self, commits: tuple[Commit, ...]) -> None:
        """All rows of a kind by one statement. Raises _Mismatch when one of them does not match."""
        steps: list[Any] = []
        moves: list[Any] = []
        releases: list[Any] = []
        history: list[Any] = []
        for c in commits:
            s = c.step
            if s.release:
                releases.append(self._values(c))
            elif s.moved or s.fault is not None or s.snapshot is None:
                moves.append(self._values(c))
            else:
                steps.append((s.revision, s.snapshot, s.seen, s.at, c.id, c.owner, c.epoch, c.revision))
            history += self._entries(c.id, c.tenant, s)
        db = self._db
        before = db.total_changes()
        for name, rows in (("step", steps), ("move", moves), ("release", releases)):
            if rows:
                db.executemany(self._sql[name], rows)
        if db.total_changes() - before != len(commits):
            raise _Mismatch
        if history:
            db.executemany(self._sql["history_add"], history)
        for c in commits:
            s = c.step
            if s.settled or s.ended or s.archive or s.wide:
                self._aside(c)

    def _values(self, c: Commit) -> dict[str, Any]:
        s = c.step
        return {
            "revision": s.revision, "snapshot": s.snapshot, "seen": s.seen, "at": s.at, "fault": s.fault, "status": s.status,
            "state": s.state, "label": s.label, "ended": s.status in TERMINAL, "now": self._now(), "wake_at": s.wake_at,
            "id": c.id, "owner": c.owner, "epoch": c.epoch, "expected": c.revision,
        }  # fmt: skip

    def _alone(self, c: Commit) -> bool:
        self._db.execute(self._sql["release" if c.step.release else "move"], self._values(c))
        if not self._db.changes():
            return False
        self._history(c.id, c.tenant, c.step)
        self._aside(c)
        return True

    def _aside(self, c: Commit) -> None:
        """What only some commits have: settled signals, an ending, effects on others, the way into the archive."""
        for s in c.step.settled:
            self._db.execute(self._sql["settle"], (s.status, s.reason, s.at, c.id, s.seq))
        if c.step.ended:
            self._db.execute(self._sql["settle_rest"], (c.step.at, c.id))
        self._queue(c.id, c.tenant, c.step)
        self._beyond(c.id, c.step)
        if c.step.archive:
            self._to_archive(c.id)

    # -- deliveries

    def _deliver(self, d: Delivery) -> Receipt:
        db = self._db
        place = (d.instance_id, d.kind, d.name, d.key, d.tenant)
        known = db.execute(self._sql["receipt"], place).fetchone()
        if known is not None:
            seq, status, reason, key, owner = known
            return Receipt(seq, status, reason, key, duplicate=True, owner=owner)
        if d.kind == "signal":
            count = db.execute(self._sql["live_inbox"], (d.instance_id, d.tenant)).fetchone()
            if count is not None and count[0] >= d.limit:
                pending = db.execute(self._sql["pending_count"], (d.instance_id,)).fetchone()[0]
                if pending >= d.limit:
                    return Receipt(refused="inbox_full", key=d.key)
        values = {"id": d.instance_id, "tenant": d.tenant, "now": self._now(), "control": d.kind == "control"}
        found = db.execute(self._sql["deliver"], values).fetchall()
        if not found:
            return self._undelivered(d, place)
        seq, revision, owner = found[0]
        db.execute(
            self._sql["deliver_row"],
            (d.instance_id, seq, d.kind, d.tenant, d.name, d.payload, d.key, revision, d.actor, d.at),
        )
        if d.act is not None:
            self._acts.append(d.act)
        return Receipt(seq, "pending", "", d.key, owner=owner)

    def _undelivered(self, d: Delivery, place: tuple[str, str, str, str, str]) -> Receipt:
        for name in ("row", "archived_row"):
            row = self._db.execute(self._sql[name], (d.instance_id,)).fetchone()
            if row is not None and row[1] == d.tenant:
                known = self._db.execute(self._sql["archived_receipt"], place).fetchone()
                if known is not None:
                    return Receipt(*known, duplicate=True)
                return Receipt(refused="instance_ended", reason=row[5], key=d.key)
        return Receipt(refused="not_found", key=d.key)

    # -- pools

    def grant(self, limit: int) -> tuple[int, set[str | None]]:
        """How many slots were given, and to rows of which owners."""
        now, count = self._now(), 0
        owners: set[str | None] = set()
        for pool, size, _, held, _, amount in self._db.execute(self._sql["waiting_pools"], {"now": now}).fetchall():
            self._db.execute(self._sql["expired"], {"pool": pool, "now": now})
            if size - held < amount or count >= limit:
                continue
            rows = self._db.execute(self._sql["first_waiting"], (pool, min(size - held, limit - count))).fetchall()
            for ticket in fitting((TicketRow(*row) for row in rows), size - held):
                place = (ticket.instance_id, ticket.path, ticket.pool, ticket.n)
                receipt = self._deliver(grant_of(ticket, now))
                if receipt.refused:
                    self._db.execute(self._sql["delete_ticket"], place)  # it has ended, or is gone
                    continue
                self._db.execute(self._sql["granted"], (now, *place))
                owners.add(receipt.owner)
                count += 1
        return count, owners

    # -- retention

    def archive(self, sql: str, values: list[Any]) -> int:
        ids = [r[0] for r in self._db.execute(sql, values).fetchall() if r[5] in TERMINAL]
        for each in ids:
            self._to_archive(each)
        return len(ids)

    def _to_archive(self, instance_id: str) -> None:
        for name in ("archive_row", "archive_history", "archive_signals", "delete_instance", "delete_history", "delete_signals"):
            self._db.execute(self._sql[name], (instance_id,))

    def purge(self, sql: str, values: list[Any], *, archived: bool) -> int:
        rows = [r for r in self._db.execute(sql, values).fetchall() if r[5] in TERMINAL]
        kinds = (
            ("archived_instance", "archived_history", "archived_signals", "instance_tasks")
            if archived
            else ("instance", "history", "signals", "tickets", "instance_tasks")
        )
        for row in rows:
            for kind in kinds:
                self._db.execute(self._sql[f"delete_{kind}"], (row[0],))
            if row[4] is not None:
                self._db.execute(self._sql["delete_key"], (row[0], row[1], row[2], row[4]))
        return len(rows)

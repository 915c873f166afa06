"""The one write verb, in memory: what the SQL stores say in their statements, in plain Python."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from msgspec.structs import replace

from stepkeel.errors import DataInvalid
from stepkeel.model.act import Act
from stepkeel.model.commit import Answer, Batch, Commit, Delivery, HistoryRow, InboxRow, Receipt, Row, Start, Step
from stepkeel.model.message import MessageRow
from stepkeel.model.snapshot import TERMINAL
from stepkeel.model.task import TaskRow
from stepkeel.store.chain import Chains
from stepkeel.store.desk import changed
from stepkeel.store.feed import FeedRow
from stepkeel.store.queue import Tickets

__all__ = ["Written"]


class Written:
    """One lock around plain dicts: each method is one transaction."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._version: int = 0
        self._rows: dict[str, Row] = {}
        self._history: dict[str, list[HistoryRow]] = {}
        self._feed: list[tuple[str, FeedRow]] = []
        self._newest = 0
        self._inbox: dict[str, dict[int, InboxRow]] = {}
        self._keys: dict[tuple[str, str, str], str] = {}
        self._tickets = Tickets()
        self._tasks: dict[str, TaskRow] = {}
        self._outbox: dict[str, MessageRow] = {}
        self._seqs = itertools.count(1)
        self._reached: dict[str, str | None] = {}
        self._chains = Chains()
        self._acts: list[Act] = []

    def now(self) -> int:
        raise NotImplementedError

    def _put(self, row: Row, **changes: Any) -> Row:
        changed = replace(row, **changes)
        self._rows[row.id] = changed
        return changed

    # -- the one write verb

    async def commit(self, batch: Batch) -> Answer:
        with self._lock:
            self._check(batch)
            self._version += 1
            self._reached, self._acts = {}, []
            answer = Answer(
                tuple(self._start(s) for s in batch.starts),
                tuple(self._commit(c) for c in batch.commits),
                tuple(self._deliver(d) for d in batch.deliveries),
                self._reached,
            )
            self._chains.append(self._acts)
            return answer

    def _in_order(self, instance_id: str, tenant: str, step: Step) -> None:
        for h in step.history:
            self._newest += 1
            self._feed.append((tenant, FeedRow(self._newest, instance_id, h)))

    def _done(self, row: Start | Commit | Delivery) -> None:
        """It was applied, now and not before."""
        if row.act is not None:
            self._acts.append(row.act)

    def _check(self, batch: Batch) -> None:
        """What a database refuses by its constraints, before anything is applied."""
        for start in batch.starts:
            if start.owner and start.step.wake_at is not None and not start.step.release:
                raise DataInvalid("the database refused the data: owner and wake_at are never both set")
        for commit in batch.commits:
            known = {h.revision for h in self._history.get(commit.id, ())}
            if any(h.revision in known for h in commit.step.history) and self._matching_row(commit) is not None:
                raise DataInvalid("the database refused the data: an entry of history exists already")

    def _matching_row(self, commit: Commit) -> Row | None:
        row = self._rows.get(commit.id)
        if row is None or row.archived or (row.owner, row.epoch, row.revision) != (commit.owner, commit.epoch, commit.revision):
            return None
        return row

    def _start(self, start: Start) -> str:
        row, step = start.row, start.step
        if row.key is not None:
            held = self._keys.setdefault((row.tenant, row.definition, row.key), start.id)
            if held != start.id:
                return held
        if start.id in self._rows:
            return start.id
        owner = None if step.release else start.owner
        self._rows[start.id] = Row(
            start.id, row.tenant, row.definition, row.version, row.key, step.status, step.state, step.label, step.revision,
            step.snapshot or b"", row.attributes, None if step.ended else step.wake_at, owner, 1, 0, 0, 0, None,
            row.priority, row.correlation_id, step.at, step.at, step.at if step.ended else None, row.parent,
        )  # fmt: skip
        self._history[start.id] = list(step.history)
        self._in_order(start.id, row.tenant, step)
        self._tickets.queue(start.id, row.tenant, step)
        self._beyond(step)
        self._done(start)
        return start.id

    def _beyond(self, step: Step) -> None:
        """What a step does to other instances, and asks of people."""
        for child in step.children:
            self._start(child)
        for task in step.opened:
            self._tasks.setdefault(task.id, task)
        for change in step.changed:
            if change.id in self._tasks:
                self._tasks[change.id] = changed(self._tasks[change.id], change)
        for message in step.emitted:
            self._outbox.setdefault(message.id, replace(message, seq=next(self._seqs)))
        for letter in step.sent:
            receipt = self._deliver(letter)
            if not receipt.refused:
                self._reached[letter.instance_id] = receipt.owner

    def _commit(self, commit: Commit) -> bool:
        row = self._matching_row(commit)
        if row is None:
            return False
        step = commit.step
        changed = self._put(
            row, status=step.status, state=row.state if step.fault else step.state,
            label=row.label if step.fault else step.label, revision=step.revision, updated_at=step.at,
            snapshot=row.snapshot if step.snapshot is None else step.snapshot, seen=max(row.seen, step.seen),
            takeovers=0, fault=step.fault,
        )  # fmt: skip
        if step.release:
            wake = step.wake_at if row.inbox <= step.seen else self.now()
            self._put(changed, owner=None, epoch=row.epoch + 1, wake_at=None if step.ended else wake)
        if step.ended != (row.status in TERMINAL):
            self._put(self._rows[commit.id], completed_at=step.at if step.ended else None)
        self._history[commit.id].extend(step.history)
        self._in_order(commit.id, commit.tenant, step)
        self._settle(commit.id, step)
        self._tickets.queue(commit.id, commit.tenant, step)
        self._beyond(step)
        if step.archive:
            self._put(self._rows[commit.id], archived=True)
        self._done(commit)
        return True

    def _settle(self, instance_id: str, step: Step) -> None:
        inbox = self._inbox.get(instance_id, {})
        for settled in step.settled:
            row = inbox.get(settled.seq)
            if row is not None and row.status == "pending":
                inbox[settled.seq] = replace(row, status=settled.status, reason=settled.reason, processed_at=settled.at)
        if step.ended:
            for seq, row in list(inbox.items()):
                if row.status == "pending":
                    status = "rejected" if row.kind == "control" else "ignored"
                    inbox[seq] = replace(row, status=status, reason="the instance ended", processed_at=step.at)

    def _deliver(self, delivery: Delivery) -> Receipt:
        row = self._rows.get(delivery.instance_id)
        if row is None or row.tenant != delivery.tenant:
            return Receipt(refused="not_found", key=delivery.key)
        inbox = self._inbox.setdefault(row.id, {})
        for known in inbox.values():
            if (known.kind, known.name, known.key) == (delivery.kind, delivery.name, delivery.key):
                return Receipt(known.seq, known.status, known.reason, known.key, duplicate=True, owner=row.owner)
        if row.status in TERMINAL or row.archived:
            return Receipt(refused="instance_ended", reason=row.status, key=delivery.key)
        if delivery.kind == "signal" and sum(1 for r in inbox.values() if r.status == "pending") >= delivery.limit:
            return Receipt(refused="inbox_full", key=delivery.key)
        wakes = row.owner is None and (row.status != "paused" or delivery.kind == "control")
        now = self.now()
        wake = row.wake_at if not wakes else now if row.wake_at is None else min(now, row.wake_at)
        row = self._put(row, inbox=row.inbox + 1, wake_at=wake)
        inbox[row.inbox] = InboxRow(
            row.id, row.inbox, delivery.kind, delivery.name, delivery.payload, delivery.key, row.revision, delivery.actor,
            "pending", "", delivery.at, None,
        )  # fmt: skip
        self._done(delivery)
        return Receipt(row.inbox, "pending", "", delivery.key, owner=row.owner)

"""A store that another one keeps encrypted: what goes in is sealed, what comes out is opened, the rest is passed on.

| sealed, for the instance it is of | clear, for it is searched, ordered or compared |
|---|---|
| snapshot: data, what is open, failures | status, state, label, attributes, keys, correlation id, times, why it was set aside |
| history: events, changes | who did it and when |
| inbox: payload | name, key, who sent it, what became of it and why |
| outbox: payload | topic |
| tasks: result | title, who may do it, who did |
| kept results of activities | the digest of the input they belong to |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from msgspec.structs import replace

from stepkeel.errors import DatabaseInvalid
from stepkeel.model.cached import CachedRow
from stepkeel.model.commit import Answer, Batch, Commit, Delivery, HistoryRow, InboxRow, Row, Start, Step
from stepkeel.model.message import MessageRow
from stepkeel.model.sealed import key_name
from stepkeel.model.task import TaskRow
from stepkeel.store.feed import Page, Place
from stepkeel.store.keyring import Keyring
from stepkeel.store.port import Claims, Held, Query, Store, TaskQuery, Transaction, Wanted, nobody

__all__ = ["check_readable", "keep_sealed"]


def keep_sealed(store: Store, keyring: Keyring | None) -> Store:
    """The store itself without a keyring."""
    return store if keyring is None else cast("Store", Sealed(store, keyring))


async def check_readable(store: Store) -> None:
    """Who lacks the key would set aside whatever it takes up. Raises DatabaseInvalid, by the instance that was made last."""
    for row in await store.list(Query(descending=True, limit=1)):
        name = key_name(row.snapshot)
        if name is not None:
            raise DatabaseInvalid(
                f"{store.url}: what it holds is encrypted, and cannot be read with the key {name} as it is known here",
                remedy="Engine(..., keyring=Keyring(...)), or STEPKEEL_KEYRING, with that key among the others",
            )


class Sealed:
    """Everything that is not here is the other store's own."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._ring = keyring
        self.now, self.version = store.now, store.version  # asked all the time: not by way of __getattr__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def within(self, tenant: str | None) -> Store:
        return keep_sealed(self._store.within(tenant), self._ring)

    # -- in

    async def commit(self, batch: Batch) -> Answer:
        return await self._store.commit(
            Batch(
                tuple(self._start(s) for s in batch.starts),
                tuple(self.committed(c) for c in batch.commits),
                tuple(self._delivery(d) for d in batch.deliveries),
            )
        )

    async def begin(self) -> Transaction:
        return SealedTransaction(await self._store.begin(), self)

    async def put_cached(self, row: CachedRow) -> None:
        result = self._ring.seal(row.result, row.tenant, _kept(row.tenant, row.activity, row.key), "result")
        await self._store.put_cached(replace(row, result=result))

    async def settle_messages(self, done: Sequence[MessageRow], failed: Sequence[MessageRow]) -> None:
        await self._store.settle_messages(done, [self._message(m) for m in failed])

    def _message(self, m: MessageRow) -> MessageRow:
        return replace(m, payload=self._ring.seal(m.payload, m.tenant, m.instance_id, f"message/{m.id}"))

    def _start(self, s: Start) -> Start:
        return replace(s, step=self._step(s.step, s.id, s.row.tenant))

    def committed(self, c: Commit) -> Commit:
        return replace(c, step=self._step(c.step, c.id, c.tenant))

    def _delivery(self, d: Delivery) -> Delivery:
        return replace(d, payload=self._ring.seal(d.payload, d.tenant, d.instance_id, _letter(d.kind, d.name, d.key)))

    def _step(self, step: Step, id: str, tenant: str) -> Step:
        seal = self._ring.seal
        snapshot = None if step.snapshot is None else seal(step.snapshot, tenant, id, "snapshot")
        history = tuple(
            replace(
                h,
                events=seal(h.events, tenant, id, f"events/{h.revision}"),
                changes=seal(h.changes, tenant, id, f"changes/{h.revision}"),
            )
            for h in step.history
        )
        if not step.wide:
            return replace(step, snapshot=snapshot, history=history)
        return replace(
            step,
            snapshot=snapshot,
            history=history,
            children=tuple(self._start(c) for c in step.children),
            sent=tuple(self._delivery(d) for d in step.sent),
            opened=tuple(replace(t, result=seal(t.result, tenant, id, f"task/{t.id}")) for t in step.opened),
            changed=tuple(replace(t, result=seal(t.result, tenant, id, f"task/{t.id}")) for t in step.changed),
            emitted=tuple(self._message(m) for m in step.emitted),
        )

    # -- out

    async def claim(self, worker: str, wanted: Sequence[Wanted], limit: int, held: Held = nobody, spare: int = 0) -> Claims:
        found = await self._store.claim(worker, wanted, limit, held, spare)
        return Claims(found.now, tuple(self._row(r) for r in found.rows), found.next_wake, found.left)

    async def load(self, ids: Sequence[str]) -> dict[str, Row]:
        return {i: self._row(r) for i, r in (await self._store.load(ids)).items()}

    async def list(self, query: Query) -> list[Row]:
        return [self._row(r) for r in await self._store.list(query)]

    async def history(self, instance_id: str, after: int = 0, limit: int = 10_000) -> list[HistoryRow]:
        return [self._entry(instance_id, h) for h in await self._store.history(instance_id, after, limit)]

    async def feed(self, tenant: str, after: Place | None, limit: int) -> Page:
        found = await self._store.feed(tenant, after, limit)
        return replace(found, rows=tuple(replace(r, entry=self._entry(r.instance_id, r.entry)) for r in found.rows))

    def _entry(self, instance_id: str, h: HistoryRow) -> HistoryRow:
        events = self._ring.open(h.events, instance_id, f"events/{h.revision}")
        return replace(h, events=events, changes=self._ring.open(h.changes, instance_id, f"changes/{h.revision}"))

    async def inbox(self, after: Mapping[str, int], limit: int = 100) -> dict[str, tuple[int, list[InboxRow]]]:
        return {i: (n, self._letters(rows)) for i, (n, rows) in (await self._store.inbox(after, limit)).items()}

    async def signals(self, instance_id: str) -> list[InboxRow]:
        return self._letters(await self._store.signals(instance_id))

    async def tasks(self, query: TaskQuery) -> Sequence[TaskRow]:
        found = await self._store.tasks(query)
        return [replace(t, result=self._ring.open(t.result, t.instance_id, f"task/{t.id}")) if t.result else t for t in found]

    async def take_messages(self, topics: Sequence[str], until: int, limit: int) -> Sequence[MessageRow]:
        return self._messages(await self._store.take_messages(topics, until, limit))

    async def outbox(self, limit: int = 100, tenant: str | None = None) -> Sequence[MessageRow]:
        return self._messages(await self._store.outbox(limit, tenant))

    async def cached(self, tenant: str, activity: str, key: str) -> bytes | None:
        found = await self._store.cached(tenant, activity, key)
        return None if found is None else self._ring.open(found, _kept(tenant, activity, key), "result")

    def _row(self, row: Row) -> Row:
        return replace(row, snapshot=self._ring.open(row.snapshot, row.id, "snapshot"))

    def _letters(self, rows: Iterable[InboxRow]) -> list[InboxRow]:
        open_ = self._ring.open
        return [replace(r, payload=open_(r.payload, r.instance_id, _letter(r.kind, r.name, r.key))) for r in rows]

    def _messages(self, rows: Iterable[MessageRow]) -> list[MessageRow]:
        return [replace(m, payload=self._ring.open(m.payload, m.instance_id, f"message/{m.id}")) for m in rows]


def _kept(tenant: str, activity: str, key: str) -> str:
    return f"cached/{tenant}/{activity}/{key}"


def _letter(kind: str, name: str, key: str) -> str:
    return f"{kind}/{name}/{key}"


class SealedTransaction:
    def __init__(self, inner: Transaction, store: Sealed) -> None:
        self._inner = inner
        self._store = store
        self.connection = inner.connection

    async def check(self) -> None:
        await self._inner.check()

    async def commit(self, commit: Commit) -> bool:
        return await self._inner.commit(self._store.committed(commit))

    async def rollback(self) -> None:
        await self._inner.rollback()

    def transient(self, error: BaseException) -> bool:
        return self._inner.transient(error)

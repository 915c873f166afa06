"""Park against signal on PostgreSQL, ten thousand times, in both orders and with the transactions forced to overlap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stepkeel.model.commit import Batch, Commit, Delivery
from stepkeel.store.port import Wanted
from stepkeel.store.postgres.store import PostgresStore
from tests import postgres
from tests.contract.test_store import begin, step, worker

ROWS, ROUNDS = 100, 100


@pytest.fixture(params=["", "&profile=portable"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    with postgres.fresh_schema(request.param) as url:
        pair = (PostgresStore(url), PostgresStore(url))
        for each in pair:
            await each.open()
        yield pair
        for each in pair:
            await each.close()


async def _overlap(first: PostgresStore, one: Batch, second: PostgresStore, other: Batch) -> None:
    """`one` is written and locked but not yet committed while `other` begins; then it is committed."""
    written, go = asyncio.Event(), asyncio.Event()

    async def hold(connection: Any) -> None:
        await first._writer.within(connection, one)
        written.set()
        await go.wait()

    holding = asyncio.create_task(first._commits.transact(hold))
    await written.wait()
    waiting = asyncio.create_task(second.commit(other))
    while not await _waits(first):
        await asyncio.sleep(0)
    go.set()
    await asyncio.gather(holding, waiting)


async def _waits(store: PostgresStore) -> bool:
    sql = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    return bool((await store._people.fetch(sql))[0][0])


async def test_no_signal_is_lost_between_parking_and_arriving(stores: tuple[PostgresStore, PostgresStore]) -> None:
    mine, theirs = stores
    await worker(mine, "w")
    ids = [f"i{n:03}" for n in range(ROWS)]
    for each in ids:
        await begin(mine, each, owner="w")
    rows = await mine.load(ids)
    for round_ in range(ROUNDS):
        parks = Batch(commits=tuple(
            Commit(i, "default", "w", rows[i].epoch, rows[i].revision,
                   step(rows[i].revision + 1, status="waiting", release=True, seen=rows[i].inbox))
            for i in ids
        ))  # fmt: skip
        signals = Batch(deliveries=tuple(Delivery(i, "default", "signal", "Go", b"{}", f"k{round_}", "", 1) for i in ids))
        if round_ % 2:
            await _overlap(mine, parks, theirs, signals)
        else:
            await _overlap(theirs, signals, mine, parks)
        for i, row in (await mine.load(ids)).items():
            assert row.owner is None, "it is parked"
            assert row.inbox == round_ + 1, "the signal is stored"
            assert row.wake_at is not None, f"{i} sleeps on an unread signal"
        claimed = await mine.claim("w", [Wanted("flow", 1)], ROWS)
        assert len(claimed.rows) == ROWS
        rows = {r.id: r for r in claimed.rows}


async def test_signals_and_parks_of_several_workers_in_any_order_never_deadlock_and_never_lose_one(
    stores: tuple[PostgresStore, PostgresStore],
) -> None:
    """Not forced: batches in shuffled orders, as they come, from both sides at once."""
    mine, theirs = stores
    await worker(mine, "w")
    ids = [f"i{n:03}" for n in range(ROWS)]
    for each in ids:
        await begin(mine, each, owner="w")
    rows = await mine.load(ids)
    for round_ in range(30):
        turn = round_ * 37 % ROWS
        order = [*ids[turn:], *ids[:turn]]
        parks = Batch(commits=tuple(
            Commit(i, "default", "w", rows[i].epoch, rows[i].revision,
                   step(rows[i].revision + 1, status="waiting", release=True, seen=rows[i].inbox))
            for i in order
        ))  # fmt: skip
        two = Batch(
            deliveries=tuple(
                Delivery(i, "default", "signal", "Go", b"{}", f"k{round_}-{m}", "", 1) for i in reversed(order) for m in (0, 1)
            )
        )
        parked, sent = await asyncio.gather(mine.commit(parks), theirs.commit(two))
        assert mine._commits.repeated == theirs._commits.repeated == 0, "a deadlock"
        assert all(parked.commits)
        assert sorted({r.seq for r in sent.deliveries if r.seq}) == [2 * round_ + 1, 2 * round_ + 2]
        for row in (await mine.load(ids)).values():
            assert row.owner is None
            assert row.wake_at is not None
            assert row.inbox == 2 * round_ + 2
        claimed = await mine.claim("w", [Wanted("flow", 1)], ROWS)
        assert len(claimed.rows) == ROWS
        rows = {r.id: r for r in claimed.rows}

"""The contract of pools and tickets: the same cases on every store."""

from __future__ import annotations

import msgspec

from stepkeel.model.commit import Ask, Batch, Commit, PoolRow, Return
from stepkeel.store.port import Store
from stepkeel.testing import VirtualClock
from tests.contract.test_store import WANTED, begin, commit, step, worker


def asking(n: int, pool: str = "p", size: int = 1, per: int | None = None, rank: int = 0, amount: int = 1) -> dict[str, object]:
    return {"asked": (Ask("work/a", pool, n, size, per, rank, amount),)}


async def holding(
    store: Store, id: str, rank: int, pool: str = "p", size: int = 1, per: int | None = None, amount: int = 1
) -> None:
    """A waiting instance that queues for a slot."""
    await begin(store, id, owner="w")
    parked = step(2, status="waiting", release=True, **asking(2, pool, size, per, rank, amount))  # type: ignore[arg-type]
    assert (await store.commit(commit(id, "w", 1, 1, parked))).commits == (True,)


async def granted(store: Store) -> set[str]:
    rows = await store.claim("w", WANTED, 100)
    return {r.id for r in rows.rows}


async def test_slots_are_granted_in_rank_order_and_told_to_the_inbox(store: Store) -> None:
    await worker(store, "w")
    for id, rank in (("a", 30), ("b", 10), ("c", 20)):
        await holding(store, id, rank, size=2)
    grants = await store.grant(100)
    assert (grants.count, grants.owners, grants.next_at) == (2, frozenset({None}), None)
    assert [(t.instance_id, t.granted_at is not None) for t in await store.pool("p")] == [("b", True), ("c", True), ("a", False)]
    assert await granted(store) == {"b", "c"}
    (_, rows) = (await store.inbox({"b": 0}))["b"]
    assert [(r.kind, r.name, msgspec.json.decode(r.payload)) for r in rows] == [
        ("grant", "p", {"path": "work/a", "pool": "p", "n": 2})
    ]
    assert (await store.grant(100)).count == 0, "the pool is full"


async def test_a_returned_slot_goes_to_the_next_and_a_queue_can_be_left(store: Store) -> None:
    await worker(store, "w")
    for n, id in enumerate("abc"):
        await holding(store, id, n)
    assert (await store.grant(100)).count == 1
    assert await granted(store) == {"a"}
    row = (await store.load(["b"]))["b"]
    left = step(3, status="waiting", release=True, returned=(Return("work/a", "p", 2),))
    await store.commit(commit("b", None, row.epoch, 2, left))
    back = step(3, status="completed", returned=(Return("work/a", "p", 2),))
    assert (await store.commit(commit("a", "w", 3, 2, back))).commits == (True,)
    assert (await store.grant(100)).count == 1
    assert await granted(store) == {"c"}
    assert await store.tickets("a") == await store.tickets("b") == []


async def test_several_slots_are_taken_together_and_none_is_passed_over_for_one_that_takes_fewer(store: Store) -> None:
    await worker(store, "w")
    for rank, (id, amount) in enumerate((("a", 2), ("b", 2), ("c", 1))):
        await holding(store, id, rank, size=3, amount=amount)
    assert (await store.grant(100)).count == 1
    assert await granted(store) == {"a"}, "b does not fit, and c asked behind it"
    assert (await store.grant(100)).count == 0
    assert [(t.instance_id, t.amount, t.granted_at is not None) for t in await store.pool("p")] == [
        ("a", 2, True), ("b", 2, False), ("c", 1, False),
    ]  # fmt: skip
    back = step(3, status="completed", returned=(Return("work/a", "p", 2),))
    assert (await store.commit(commit("a", "w", 3, 2, back))).commits == (True,)
    assert (await store.grant(100)).count == 2
    assert await granted(store) == {"b", "c"}


async def test_a_rate_counts_the_slots_that_each_took(store: Store, clock: VirtualClock) -> None:
    await worker(store, "w", lease=100_000_000)
    per = 10_000_000
    for rank, (id, amount) in enumerate((("a", 2), ("b", 1), ("c", 2))):
        await holding(store, id, rank, size=3, per=per, amount=amount)
    began = store.now()
    grants = await store.grant(100)
    assert (grants.count, grants.next_at) == (2, began + per)
    assert await granted(store) == {"a", "b"}
    clock.advance(11)
    assert (await store.grant(100)).count == 1
    assert await granted(store) == {"c"}


async def test_a_refused_commit_opens_and_closes_no_ticket(store: Store) -> None:
    await worker(store, "w")
    await holding(store, "a", 0)
    late = step(3, status="waiting", release=True, returned=(Return("work/a", "p", 2),), **asking(3, "q"))  # type: ignore[arg-type]
    assert (await store.commit(commit("a", "w", 1, 1, late))).commits == (False,)
    assert [t.pool for t in await store.tickets("a")] == ["p"]


async def test_a_rate_counts_what_began_within_its_span_also_after_its_return(store: Store, clock: VirtualClock) -> None:
    await worker(store, "w", lease=100_000_000)
    per = 10_000_000
    for n, id in enumerate("abc"):
        await holding(store, id, n, size=2, per=per)
    began = store.now()
    grants = await store.grant(100)
    assert (grants.count, grants.next_at) == (2, began + per)
    assert await granted(store) == {"a", "b"}
    done = step(3, status="completed", returned=(Return("work/a", "p", 2),))
    await store.commit(commit("a", "w", 3, 2, done))
    clock.advance(9)
    assert (await store.grant(100)).count == 0
    clock.advance(2)
    assert (await store.grant(100)).count == 1
    assert await granted(store) == {"c"}


async def test_a_ticket_of_an_ended_instance_is_passed_over_and_removed(store: Store) -> None:
    await worker(store, "w")
    await holding(store, "a", 0)
    await holding(store, "b", 1)
    row = (await store.load(["a"]))["a"]
    await store.commit(commit("a", None, row.epoch, 2, step(3, status="failed")))
    while not await granted(store):
        await store.grant(100)
    assert await store.tickets("a") == []
    assert (await store.tickets("b"))[0].granted_at is not None


async def test_pools_are_told_with_what_is_held_and_who_waits(store: Store) -> None:
    await worker(store, "w")
    assert await store.pools(None, None, "", 10) == []
    for n, (id, pool, size) in enumerate([("a", "p", 2), ("b", "p", 2), ("c", "p", 2), ("d", "q", 5)]):
        await holding(store, id, n, pool, size=size)
    await begin(store, "o", owner="w", tenant="other")
    parked = step(2, status="waiting", release=True, **asking(2, "r", 3, None, 9, 2))  # type: ignore[arg-type]
    await store.commit(Batch(commits=(Commit("o", "other", "w", 1, 1, parked),)))
    await store.grant(2)
    p, q, r = PoolRow("p", 2, None, 2, 1), PoolRow("q", 5, None, 0, 1), PoolRow("r", 3, None, 0, 1)
    assert await store.pools(None, None, "", 10) == [p, q, r]
    assert await store.pools(None, None, "", 2) == [p, q]
    assert await store.pools(None, None, "p", 10) == [q, r], "those after it"
    assert await store.pools(None, "q", "", 10) == [q]
    assert await store.pools("default", None, "", 10) == [p, q], "what a tenant holds or waits for"
    assert await store.pools("other", None, "", 10) == [r]
    await store.grant(100)
    assert await store.pools("other", None, "", 10) == [PoolRow("r", 3, None, 2, 0)], "two slots together"


async def test_what_a_rate_gave_counts_until_its_span_is_over(store: Store, clock: VirtualClock) -> None:
    await worker(store, "w")
    for n, id in enumerate("ab"):
        await holding(store, id, n, per=60_000_000)
    await store.grant(100)
    assert await store.pools(None, None, "", 10) == [PoolRow("p", 1, 60_000_000, 1, 1)]
    clock.advance(61)
    assert await store.pools(None, None, "", 10) == [PoolRow("p", 1, 60_000_000, 0, 1)]

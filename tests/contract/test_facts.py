"""The contract of numbers over many instances, and of who has any: the same cases on every store."""

from __future__ import annotations

from stepkeel.model.commit import Batch, Commit, Start, StartRow
from stepkeel.store.fact import SIZES, EndedRow
from stepkeel.store.port import Store
from stepkeel.testing import VirtualClock
from tests.contract.test_store import begin, step, worker


async def test_tenants_are_those_who_have_instances_or_keys_page_by_page(store: Store) -> None:
    assert await store.tenants("", 10) == []
    for n, tenant in enumerate(["delta", "alpha", "alpha", "charlie", "bravo"]):
        await begin(store, f"i{n}", tenant=tenant)
    assert await store.tenants("", 10) == ["alpha", "bravo", "charlie", "delta"]
    assert await store.tenants("", 2) == ["alpha", "bravo"]
    assert await store.tenants("bravo", 10) == ["charlie", "delta"]
    assert await store.tenants("delta", 10) == []


async def test_what_ended_is_counted_by_when_how_and_how_long_it_took(store: Store, clock: VirtualClock) -> None:
    await worker(store, "w", 3_600_000_000)
    start = store.now()
    assert await store.ended(None, start, start + 100, 10) == []
    for n, (took, status, tenant) in enumerate(
        [(0, "completed", "a"), (2, "completed", "a"), (50, "failed", "a"), (50, "completed", "b")]
    ):
        first = step(1, at=store.now())
        await store.commit(Batch(starts=(Start(f"i{n}", StartRow(tenant, "flow", 1, None, None, 2), first, "w"),)))
        clock.advance(took)
        last = step(2, status=status, at=store.now())
        await store.commit(Batch(commits=(Commit(f"i{n}", tenant, "w", 1, 1, last),)))
    second = 1_000_000

    def reached(seconds: float) -> int:
        return sum(size <= seconds * second for size in SIZES)

    since, until, width = start, store.now() + 1, 60 * second
    assert await store.ended("a", since, until, width) == [
        EndedRow(0, "completed", 0, 1), EndedRow(0, "completed", reached(2), 1), EndedRow(0, "failed", reached(50), 1),
    ]  # fmt: skip
    assert await store.ended(None, since, until, width) == [
        EndedRow(0, "completed", 0, 1), EndedRow(0, "completed", reached(2), 1), EndedRow(0, "failed", reached(50), 1),
        EndedRow(1, "completed", reached(50), 1),
    ]  # fmt: skip
    assert await store.ended(None, since, until - 1, width) == await store.ended("a", since, until, width), "until is not within"
    assert await store.ended("b", since + second, until, 51 * second) == [EndedRow(1, "completed", reached(50), 1)]

"""The contract of the store port: the same cases on every store."""

from __future__ import annotations

import asyncio

import pytest

from stepkeel.errors import DataInvalid
from stepkeel.model.commit import Batch, Commit, Delivery, HistoryRow, Settled, Start, StartRow, Step
from stepkeel.store.port import Query, Store, Wanted, WorkerRow
from stepkeel.testing import VirtualClock

WANTED = [Wanted("flow", 1)]


def step(
    revision: int, *, status: str = "running", at: int = 0, release: bool = False, wake_at: int | None = None, **more: object
) -> Step:
    entry = HistoryRow(revision, at or revision, "", "w", b"[]", b"{}")
    values = {"state": "s", "label": "", "seen": 0, "history": (entry,), "snapshot": b"{}", **more}
    ended = status in ("completed", "failed", "cancelled", "terminated")
    return Step(
        status=status, revision=revision, at=at or revision, release=release or ended, wake_at=wake_at, ended=ended, **values
    )  # type: ignore[arg-type]


async def begin(
    store: Store, id: str, owner: str | None = None, key: str | None = None, wake_at: int | None = None, priority: int = 2,
    tenant: str = "default",
) -> str:  # fmt: skip
    row = StartRow(tenant, "flow", 1, key, None, priority)
    wake = None if owner else store.now() if wake_at is None else wake_at
    first = step(1, status="running" if owner else "created", release=owner is None, wake_at=wake)
    return (await store.commit(Batch(starts=(Start(id, row, first, owner),)))).starts[0]


async def worker(store: Store, id: str, lease: int = 5_000_000) -> None:
    await store.add_worker(WorkerRow(id, id, "[]", store.now(), store.now() + lease))


async def renew(store: Store, worker: str, lease: int) -> bool:
    """From a thread of its own, as a heartbeat does."""

    def beat() -> bool:
        pulse = store.pulse()
        try:
            return pulse.renew(worker, lease)
        finally:
            pulse.close()

    return await asyncio.to_thread(beat)


def commit(id: str, owner: str | None, epoch: int, revision: int, next_step: Step) -> Batch:
    return Batch(commits=(Commit(id, "default", owner, epoch, revision, next_step),))


def signal(id: str, name: str = "Go", key: str = "k", kind: str = "signal", limit: int = 10_000) -> Batch:
    return Batch(deliveries=(Delivery(id, "default", kind, name, b"{}", key, "", 1, limit),))  # type: ignore[arg-type]


async def test_a_lease_begins_when_the_store_hears_of_it(store: Store) -> None:
    late = store.now() - 60_000_000
    await store.add_worker(WorkerRow("late", "late", "[]", late, late + 5_000_000))
    assert await store.bury() == []
    assert [w.id for w in await store.workers()] == ["late"]


async def test_a_start_inserts_row_and_history_and_sent_again_changes_nothing(store: Store) -> None:
    assert await begin(store, "a") == "a"
    assert await begin(store, "a") == "a"
    assert len(await store.history("a")) == 1
    assert (await store.load(["a", "b"])).keys() == {"a"}


async def test_the_first_start_of_a_key_wins_and_others_learn_its_id(store: Store) -> None:
    assert await begin(store, "a", key="k") == "a"
    assert await begin(store, "b", key="k") == "a"
    assert await begin(store, "a", key="k") == "a"
    assert await store.find_key("default", "flow", "k") == "a"
    assert "b" not in await store.load(["b"])


async def test_a_commit_that_does_not_match_leaves_the_row_untouched(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    for owner, epoch, revision in (("x", 1, 1), ("w", 2, 1), ("w", 1, 2), (None, 1, 1)):
        answer = await store.commit(commit("a", owner, epoch, revision, step(2)))
        assert answer.commits == (False,)
    assert (await store.load(["a"]))["a"].revision == 1
    assert len(await store.history("a")) == 1
    assert (await store.commit(commit("a", "w", 1, 1, step(2)))).commits == (True,)
    assert (await store.commit(commit("a", "w", 1, 1, step(2)))).commits == (False,)
    assert len(await store.history("a")) == 2


async def test_one_bad_row_of_a_batch_does_not_harm_the_others(store: Store) -> None:
    await worker(store, "w")
    for id in "abc":
        await begin(store, id, owner="w")
    rows = tuple(Commit(i, "default", "w", 9 if i == "b" else 1, 1, step(2)) for i in "abc")
    assert (await store.commit(Batch(commits=rows))).commits == (True, False, True)
    assert [(await store.load([i]))[i].revision for i in "abc"] == [2, 1, 2]


async def test_content_that_is_refused_applies_nothing(store: Store) -> None:
    await worker(store, "w")
    for id in "ab":
        await begin(store, id, owner="w")
    bad = step(2, history=(HistoryRow(1, 1, "", "", b"", b""),))  # an entry of history that exists already
    with pytest.raises(DataInvalid):
        await store.commit(Batch(commits=(Commit("a", "default", "w", 1, 1, step(2)), Commit("b", "default", "w", 1, 1, bad))))
    assert [(await store.load([i]))[i].revision for i in "ab"] == [1, 1]


async def test_claims_take_due_rows_of_wanted_definitions_only_and_for_live_workers_only(store: Store, clock: VirtualClock) -> None:
    await begin(store, "due")
    await begin(store, "later", wake_at=store.now() + 1_000_000)
    assert (await store.claim("w", WANTED, 10)).rows == ()
    await worker(store, "w")
    assert (await store.claim("w", [Wanted("other", 1), Wanted("flow", 2)], 10)).rows == ()
    claims = await store.claim("w", WANTED, 10)
    assert [r.id for r in claims.rows] == ["due"]
    assert claims.next_wake == store.now() + 1_000_000
    row = (await store.load(["due"]))["due"]
    assert (row.owner, row.epoch, row.wake_at) == ("w", 2, None)
    assert (await store.claim("w", WANTED, 10)).rows == ()
    clock.advance(1)
    assert [r.id for r in (await store.claim("w", WANTED, 10)).rows] == ["later"]


async def test_claims_heed_the_limit_and_starve_no_priority(store: Store) -> None:
    await worker(store, "w")
    for n in range(40):
        await begin(store, f"{n:03d}", priority=0 if n < 30 else 4)
    first = await store.claim("w", WANTED, 10)
    assert len(first.rows) == 10
    assert {r.priority for r in first.rows} == {0, 4}
    nothing = await store.claim("w", WANTED, 0)
    assert nothing.rows == ()
    assert nothing.next_wake is not None
    assert nothing.next_wake <= store.now()


async def test_parking_with_unread_inbox_wakes_at_once(store: Store, clock: VirtualClock) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    assert (await store.commit(signal("a"))).deliveries[0].owner == "w"
    assert (await store.load(["a"]))["a"].wake_at is None
    park = step(2, status="waiting", release=True, wake_at=store.now() + 99)
    await store.commit(commit("a", "w", 1, 1, park))
    row = (await store.load(["a"]))["a"]
    assert (row.owner, row.wake_at, row.epoch) == (None, store.now(), 2)


async def test_parking_after_the_inbox_was_seen_waits_for_its_timer(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    await store.commit(signal("a"))
    later = store.now() + 99
    done = (Settled(1, "processed", "", 5),)
    await store.commit(commit("a", "w", 1, 1, step(2, status="waiting", release=True, wake_at=later, seen=1, settled=done)))
    row = (await store.load(["a"]))["a"]
    assert (row.wake_at, row.seen, row.inbox) == (later, 1, 1)
    assert [(s.status, s.processed_at) for s in await store.signals("a")] == [("processed", 5)]
    assert await store.inbox({"a": 0}) == {"a": (1, [])}


async def test_a_delivery_wakes_a_resting_row_but_not_a_paused_one_unless_it_is_a_request(store: Store) -> None:
    await worker(store, "w")
    for id, status in (("resting", "waiting"), ("paused", "paused")):
        await begin(store, id, owner="w")
        await store.commit(commit(id, "w", 1, 1, step(2, status=status, release=True)))
        await store.commit(signal(id))
    rows = await store.load(["resting", "paused"])
    assert rows["resting"].wake_at == store.now()
    assert rows["paused"].wake_at is None
    await store.commit(signal("paused", "resume", "c", "control"))
    assert (await store.load(["paused"]))["paused"].wake_at == store.now()


async def test_a_delivery_never_moves_a_wake_up_later(store: Store, clock: VirtualClock) -> None:
    await begin(store, "a")
    was = (await store.load(["a"]))["a"].wake_at
    clock.advance(10)
    await store.commit(signal("a"))
    assert (await store.load(["a"]))["a"].wake_at == was


async def test_the_same_kind_name_and_key_is_the_same_row(store: Store) -> None:
    await begin(store, "a")
    first = (await store.commit(signal("a"))).deliveries[0]
    again = (await store.commit(signal("a"))).deliveries[0]
    assert (first.seq, first.duplicate, again.seq, again.duplicate) == (1, False, 1, True)
    other = (await store.commit(signal("a", key="k2"))).deliveries[0]
    kind = (await store.commit(signal("a", kind="control"))).deliveries[0]
    assert {other.duplicate, kind.duplicate} == {False}
    count, rows = (await store.inbox({"a": 0}))["a"]
    assert (count, [r.seq for r in rows]) == (3, [1, 2, 3])
    assert [r.seq for r in (await store.inbox({"a": 1}, limit=1))["a"][1]] == [2]


async def test_deliveries_to_missing_ended_and_full_instances_store_nothing(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    assert (await store.commit(signal("a", limit=1))).deliveries[0].refused == ""
    assert (await store.commit(signal("a", key="x", limit=1))).deliveries[0].refused == "inbox_full"
    await store.commit(commit("a", "w", 1, 1, step(2, status="completed", seen=1)))
    ended = (await store.commit(signal("a", key="y"))).deliveries[0]
    assert (ended.refused, ended.reason) == ("instance_ended", "completed")
    assert (await store.commit(signal("nobody"))).deliveries[0].refused == "not_found"
    assert len(await store.signals("a")) == 1


async def test_an_inbox_is_not_filled_beyond_its_limit_by_one_batch(store: Store) -> None:
    await begin(store, "a")
    letters = tuple(Delivery("a", "default", "signal", "Go", b"{}", f"k{n}", "", 1, 3) for n in range(5))
    answer = await store.commit(Batch(deliveries=(letters[0], *letters)))
    assert [r.refused for r in answer.deliveries] == ["", "", "", "", "inbox_full", "inbox_full"]
    assert len(await store.signals("a")) == 3


async def test_an_ending_settles_what_was_never_judged(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    await store.commit(signal("a"))
    await store.commit(signal("a", "pause", "c", "control"))
    await store.commit(commit("a", "w", 1, 1, step(2, status="completed")))
    row = (await store.load(["a"]))["a"]
    assert (row.owner, row.wake_at, row.completed_at) == (None, None, 2)
    assert [s.status for s in await store.signals("a")] == ["ignored", "rejected"]


async def test_dead_workers_are_buried_and_what_they_held_is_freed_in_bounded_batches(store: Store, clock: VirtualClock) -> None:
    await worker(store, "dead", lease=1_000_000)
    await worker(store, "alive", lease=60_000_000)
    for n in range(5):
        await begin(store, f"d{n}", owner="dead")
    await begin(store, "l", owner="alive")
    assert await store.bury() == []
    assert await store.take_over(10) == []
    clock.advance(2)
    assert await store.bury() == ["dead"]
    assert len(await store.take_over(3)) == 3
    assert len(await store.take_over(3)) == 2
    row = (await store.load(["d0"]))["d0"]
    assert (row.owner, row.epoch, row.takeovers, row.wake_at) == (None, 2, 1, store.now())
    assert (await store.load(["l"]))["l"].owner == "alive"
    assert not await renew(store, "dead", 0)


async def test_a_late_renewal_that_finds_its_row_goes_on(store: Store, clock: VirtualClock) -> None:
    await worker(store, "w", lease=1)
    clock.advance(5)
    assert await renew(store, "w", 5_000_000)
    assert await store.bury() == []
    assert [w.expires_at for w in await store.workers()] == [store.now() + 5_000_000]


async def test_give_back_frees_only_rows_of_that_residency(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    await begin(store, "b", owner="w")
    assert await store.owned("w") == {"a": 1, "b": 1}
    assert await store.give_back("w", {"a": 1, "b": 7}) == 1
    assert await store.owned("w") == {"b": 1}
    assert (await store.fences(["a"]))["a"].epoch == 2


async def test_a_commit_without_owner_holds_only_while_nobody_owns_the_row(store: Store) -> None:
    """How a request to a resting instance is applied: at one stroke, with no claim before it."""
    await worker(store, "w")
    await begin(store, "owned", owner="w")
    await begin(store, "later", wake_at=store.now() + 10**12)
    paused = step(2, status="paused", release=True)
    assert (await store.commit(commit("owned", None, 1, 1, paused))).commits == (False,)
    assert (await store.commit(commit("later", None, 1, 1, paused))).commits == (True,)
    assert (await store.commit(commit("later", None, 1, 1, paused))).commits == (False,)
    row = (await store.load(["later"]))["later"]
    assert (row.status, row.owner, row.epoch, row.wake_at) == ("paused", None, 2, None)


async def test_news_tell_of_unread_inboxes_of_owned_rows(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    await begin(store, "b", owner="w")
    await store.commit(signal("b"))
    assert await store.news("w") == {"b": 1}


async def test_setting_aside_leaves_the_snapshot_and_place_as_they_are(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    await store.commit(commit("a", "w", 1, 1, step(2, snapshot=b'{"x":1}', moved=True)))
    aside = step(3, status="paused", release=True, snapshot=None, state="", fault="why")
    assert (await store.commit(commit("a", "w", 1, 2, aside))).commits == (True,)
    row = (await store.load(["a"]))["a"]
    assert (row.status, row.state, row.snapshot, row.fault, row.wake_at) == ("paused", "s", b'{"x":1}', "why", None)
    assert [r.id for r in await store.list(Query(fault=True))] == ["a"]


async def test_archived_rows_leave_the_lists_and_purge_deletes_them_with_all_they_had(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w", key="k")
    await store.commit(signal("a"))
    await store.commit(commit("a", "w", 1, 1, step(2, status="completed", seen=1)))
    fence = (await store.fences(["a"]))["a"]
    archived = step(3, status="completed", archive=True)
    archived = Step(*[getattr(archived, f) if f != "release" else False for f in Step.__struct_fields__])
    assert (await store.commit(commit("a", None, fence.epoch, 2, archived))).commits == (True,)
    assert await store.list(Query()) == []
    assert [r.id for r in await store.list(Query(archived=True))] == ["a"]
    assert (await store.load(["a"]))["a"].archived
    assert len(await store.history("a")) == 3
    assert len(await store.signals("a")) == 1
    assert await store.purge(Query(status=("completed",))) == 0
    assert await store.purge(Query(status=("completed",), archived=True)) == 1
    assert await store.load(["a"]) == {}
    assert await store.history("a") == []
    assert await store.find_key("default", "flow", "k") is None

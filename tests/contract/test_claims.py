"""Who gets the slots when more is due than there is room for: the same cases on every store."""

from __future__ import annotations

import pytest

from stepkeel.model.commit import Batch, Start, StartRow
from stepkeel.store import share
from stepkeel.store.port import Claims, Store, Wanted
from tests.contract.test_store import step, worker

FLOW, OTHER = Wanted("flow", 1), Wanted("other", 1)


async def due(store: Store, tenant: str, count: int, *, definition: str = "flow", priority: int = 2, wake_in: int = 0) -> None:
    wake = store.now() + wake_in
    starts = [
        Start(
            f"{tenant}-{definition}-{priority}-{n:04}",
            StartRow(tenant, definition, 1, None, None, priority),
            step(1, status="created", release=True, wake_at=wake),
            None,
        )
        for n in range(count)
    ]
    await store.commit(Batch(starts=tuple(starts)))


def by_tenant(claims: Claims) -> dict[str, int]:
    return {t: sum(1 for r in claims.rows if r.tenant == t) for t in sorted({r.tenant for r in claims.rows})}


async def test_a_flood_of_one_tenant_leaves_the_others_their_turn(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 100)
    await due(store, "small", 1)
    claims = await store.claim("w", [FLOW], 10)
    assert by_tenant(claims) == {"big": 9, "small": 1}
    assert claims.left == {"big", "small"}
    assert claims.next_wake is not None
    assert claims.next_wake <= store.now()


async def test_one_free_slot_goes_to_the_tenant_that_holds_fewest(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 10)
    await due(store, "small", 2)
    held = {"big": 0, "small": 0}
    taken: list[str] = []
    for _ in range(5):
        for row in (await store.claim("w", [FLOW], 1, lambda: held)).rows:
            taken.append(row.tenant)
            held[row.tenant] += 1
    assert sorted(taken[:2]) == ["big", "small"]
    assert sorted(taken[:4]) == ["big", "big", "small", "small"]
    assert by_tenant(await store.claim("w", [FLOW], 1, lambda: {"big": 9})) == {"big": 1}, "nobody else is due"


async def test_where_there_is_room_for_all_of_them_all_are_taken(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 7)
    await due(store, "small", 3)
    claims = await store.claim("w", [FLOW], 10, lambda: {"big": 1_000})
    assert by_tenant(claims) == {"big": 7, "small": 3}
    assert (claims.left, claims.next_wake) == (frozenset(), None)


async def test_a_full_worker_learns_who_waits(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 2)
    await due(store, "small", 1)
    claims = await store.claim("w", [FLOW], 0)
    assert (claims.rows, claims.left) == ((), {"big", "small"})


async def test_a_tenant_that_holds_nothing_gets_a_spare_slot_of_a_full_worker(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 5)
    assert (await store.claim("w", [FLOW], 0, lambda: {"big": 8}, 1)).rows == ()
    await due(store, "small", 3, priority=4)
    await due(store, "small", 1, priority=3)
    held = {"big": 8}
    claims = await store.claim("w", [FLOW], 0, lambda: held, 2)
    assert [(r.tenant, r.priority) for r in claims.rows] == [("small", 3)], "one, the most urgent"
    held["small"] = 1
    assert (await store.claim("w", [FLOW], 0, lambda: held, 2)).rows == ()
    claims = await store.claim("w", [FLOW], 1, lambda: held, 2)
    assert by_tenant(claims) == {"big": 1, "small": 1}, "room is shared by priority first"


async def test_who_is_alone_in_the_queue_gets_a_spare_slot_too(store: Store) -> None:
    await worker(store, "w")
    await due(store, "small", 2)
    assert by_tenant(await store.claim("w", [FLOW], 0, lambda: {"big": 8}, 1)) == {"small": 1}
    assert (await store.claim("w", [FLOW], 0, lambda: {"big": 8, "small": 1}, 1)).rows == ()


async def test_tenants_whose_timers_are_not_due_take_no_part(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 5)
    await due(store, "idle", 3, wake_in=1_000_000)
    await due(store, "small", 2)
    claims = await store.claim("w", [FLOW], 3)
    assert by_tenant(claims) == {"big": 2, "small": 1} or by_tenant(claims) == {"big": 1, "small": 2}
    assert claims.left == {"big", "small"}


async def test_a_flood_of_one_definition_hides_neither_other_definitions_nor_other_tenants(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 50)
    await due(store, "big", 2, definition="other")
    await due(store, "small", 2, definition="other")
    claims = await store.claim("w", [FLOW, OTHER], 8)
    assert by_tenant(claims) == {"big": 6, "small": 2}
    assert sum(1 for r in claims.rows if r.tenant == "big" and r.definition == "other") == 2


async def test_priorities_have_their_shares_within_which_tenants_have_theirs(store: Store) -> None:
    await worker(store, "w")
    await due(store, "big", 30, priority=0)
    await due(store, "small", 1, priority=0)
    await due(store, "big", 30, priority=4)
    claims = await store.claim("w", [FLOW], 17)
    taken = [(r.tenant, r.priority) for r in claims.rows]
    assert {t: taken.count(t) for t in set(taken)} == {("big", 0): 15, ("small", 0): 1, ("big", 4): 1}


async def test_more_tenants_than_one_look_takes_in_all_have_their_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stepkeel.store.sqlite.claim", "stepkeel.store.postgres.claim", "stepkeel.store.postgres.store"):
        monkeypatch.setattr(f"{module}.TENANTS", 3)
    assert share.TENANTS > 3
    await worker(store, "w")
    await due(store, "a", 100)
    for n in range(9):
        await due(store, f"idle{n}", 1, wake_in=1_000_000)
    await due(store, "small", 1)
    await due(store, "tiny", 1)
    seen: list[str] = []
    for _ in range(12):
        seen += [r.tenant for r in (await store.claim("w", [FLOW], 1, lambda: {"a": 50})).rows]
    assert {"small", "tiny"} <= set(seen), "though `a` could have had every slot"
    assert seen.count("a") >= 6, "and no look is in vain because others only have timers"

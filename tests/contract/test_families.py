"""What a step does to other instances, on every store: applied with it, or not at all."""

from __future__ import annotations

from typing import Any

from stepkeel.model.commit import Batch, Commit, Delivery, Start, StartRow
from stepkeel.model.task import TaskChange, TaskRow
from stepkeel.store.port import Query, Store, TaskQuery, Wanted
from tests.contract.test_store import begin, step, worker


def child(id: str, parent: str | None = "a") -> Start:
    row = StartRow("default", "flow", 1, parent=parent)
    return Start(id, row, step(1, status="created", release=True, wake_at=1))


def letter(to: str, kind: Any = "child", key: str = "k", name: str = "completed") -> Delivery:
    return Delivery(to, "default", kind, name, b"{}", key, "", 1)


def committed(id: str, owner: str | None, epoch: int, revision: int, **more: Any) -> Commit:
    return Commit(id, "default", owner, epoch, revision, step(revision + 1, **more))


async def test_children_are_begun_with_the_step_that_begins_them_and_once(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    batch = Batch(commits=(committed("a", "w", 1, 1, children=(child("b"), child("c"))),))
    assert (await store.commit(batch)).commits == (True,)
    assert (await store.commit(batch)).commits == (False,), "sent again, it finds the row moved"
    assert [r.id for r in await store.list(Query(parent="a"))] == ["b", "c"]
    assert {r.id for r in (await store.claim("w", [Wanted("flow", 1)], 10)).rows} == {"b", "c"}
    assert (await store.load(["b"]))["b"].parent == "a"
    assert len(await store.history("b")) == 1


async def test_a_step_that_does_not_match_begins_and_sends_nothing(store: Store) -> None:
    await worker(store, "w")
    for id in ("a", "z"):
        await begin(store, id, owner="w")
    stale = committed("a", "w", 7, 1, children=(child("b"),), sent=(letter("z"),))
    assert (await store.commit(Batch(commits=(stale, committed("z", "w", 1, 1))))).commits == (False, True)
    assert (await store.load(["a", "b", "z"])).keys() == {"a", "z"}
    assert (await store.inbox({"z": 0}))["z"] == (0, [])


async def test_letters_reach_rows_that_the_same_batch_moves_begins_and_parks(store: Store) -> None:
    """A parent that parks in the batch in which its child reports is woken, and a child just begun has its letter."""
    await worker(store, "w")
    for id in ("a", "b"):
        await begin(store, id, owner="w")
    parks = committed("a", "w", 1, 1, status="waiting", release=True)
    ends = committed(
        "b", "w", 1, 1, status="completed", children=(child("c"),), sent=(letter("a"), letter("c", "control", name="pause"))
    )
    answer = await store.commit(Batch(commits=(parks, ends)))
    assert answer.commits == (True, True)
    assert answer.reached == {"a": None, "c": None}
    rows = await store.load(["a", "c"])
    assert (rows["a"].inbox, rows["a"].wake_at is not None) == (1, True)
    assert rows["c"].inbox == 1
    (row,) = (await store.inbox({"a": 0}))["a"][1]
    assert (row.kind, row.name, row.status) == ("child", "completed", "pending")


async def test_who_owns_what_was_reached_is_answered_and_ended_rows_are_passed_over(store: Store) -> None:
    await worker(store, "w")
    for id in ("a", "b", "z"):
        await begin(store, id, owner="w")
    await store.commit(Batch(commits=(committed("z", "w", 1, 1, status="completed"),)))
    sent = (letter("a"), letter("z"), letter("nowhere"))
    answer = await store.commit(
        Batch(commits=(committed("b", "w", 1, 1, sent=sent),), deliveries=(letter("a", "signal", name="Go"),))
    )
    assert answer.reached == {"a": "w"}
    assert [r.status for r in answer.deliveries] == ["pending"]
    assert (await store.load(["a"]))["a"].inbox == 2


async def test_a_start_may_begin_children_and_one_whose_key_is_taken_begins_none(store: Store) -> None:
    row = StartRow("default", "flow", 1, "key")
    first = Start("a", row, step(1, release=True, wake_at=1, children=(child("b"),)))
    second = Start("c", row, step(1, release=True, wake_at=1, children=(child("d", "c"),)))
    assert (await store.commit(Batch(starts=(first, second)))).starts == ("a", "a")
    assert (await store.load(["a", "b", "c", "d"])).keys() == {"a", "b"}
    assert (await store.commit(Batch(starts=(first,)))).starts == ("a",)


async def test_reports_do_not_wake_a_paused_parent_and_requests_do(store: Store) -> None:
    await worker(store, "w")
    for id in ("a", "b"):
        await begin(store, id, owner="w")
    await store.commit(Batch(commits=(committed("a", "w", 1, 1, status="paused", release=True),)))
    await store.commit(Batch(commits=(committed("b", "w", 1, 1, sent=(letter("a"),)),)))
    assert (await store.load(["a"]))["a"].wake_at is None
    await store.commit(Batch(commits=(committed("b", "w", 1, 2, sent=(letter("a", "control", name="resume"),)),)))
    assert (await store.load(["a"]))["a"].wake_at is not None


async def test_the_archive_keeps_who_began_it(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    await store.commit(Batch(commits=(committed("a", "w", 1, 1, children=(child("b"),)),)))
    row = (await store.claim("w", [Wanted("flow", 1)], 10)).rows[0]
    await store.commit(Batch(commits=(committed("b", "w", row.epoch, 1, status="completed"),)))
    epoch = (await store.load(["b"]))["b"].epoch
    archived = Commit("b", "default", None, epoch, 2, step(3, status="completed", archive=True))
    assert (await store.commit(Batch(commits=(archived,)))).commits == (True,)
    found = (await store.load(["b"]))["b"]
    assert (found.archived, found.parent) == (True, "a")
    assert [r.id for r in await store.list(Query(parent="a", archived=True))] == ["b"]


def task(id: str, **more: Any) -> TaskRow:
    return TaskRow(id, "a", "default", "flow", 1, "s/task", f"Title of {id}", opened_at=5, updated_at=5, **more)


async def ids(store: Store, **query: Any) -> list[str]:
    return [t.id for t in await store.tasks(TaskQuery(**query))]


async def test_tasks_are_written_with_the_step_that_asks_and_read_as_they_were_written(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    full = task("t-1", role="r", assignee="ann", candidates=("bob", 'c"y'), excluded=("d",), form="F", priority=0, due_at=9)
    stale = committed("a", "w", 7, 1, opened=(task("t-0"),))
    assert (await store.commit(Batch(commits=(stale,)))).commits == (False,)
    assert (await store.commit(Batch(commits=(committed("a", "w", 1, 1, opened=(full, task("t-2"))),)))).commits == (True,)
    assert list(await store.tasks(TaskQuery())) == [full, task("t-2")]
    change = TaskChange("t-1", 8, "open", "r2", "", "bob", reminded=2, escalated=1)
    done = TaskChange("t-2", 8, "completed", "", "", "", "eve", b'{"x":1}')
    await store.commit(Batch(commits=(committed("a", "w", 1, 2, changed=(change, done)),)))
    one, two = await store.tasks(TaskQuery())
    assert (one.role, one.assignee, one.claimed_by, one.candidates, one.closed_at) == ("r2", "", "bob", (), None)
    assert (one.updated_at, one.reminded, one.escalated) == (8, 2, 1)
    assert (two.status, two.closed_by, two.result, two.closed_at) == ("completed", "eve", b'{"x":1}', 8)


async def test_tasks_are_found_as_people_look_for_them(store: Store) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    rows = (
        task("t-1", role="clerk", due_at=30),
        task("t-2", assignee="ann", role="clerk", due_at=10),
        task("t-3", candidates=("ann", "bob")),
        task("t-4", claimed_by="ann", due_at=20),
    )
    await store.commit(Batch(commits=(committed("a", "w", 1, 1, opened=rows),)))
    assert await ids(store, person="ann") == ["t-2", "t-3", "t-4"]
    assert await ids(store, person="bob", roles=("clerk",)) == ["t-1", "t-3"]
    assert await ids(store, roles=("clerk", "x")) == ["t-1"]
    assert await ids(store, role="clerk") == ["t-1", "t-2"]
    assert await ids(store, sort="due") == ["t-2", "t-4", "t-1", "t-3"]
    assert await ids(store, sort="due", after=(20, "t-4"), limit=1) == ["t-1"]
    assert await ids(store, after=(0, "t-2")) == ["t-3", "t-4"]
    assert await ids(store, due_from=10, due_to=30) == ["t-2", "t-4"]
    assert await ids(store, text="OF T-3") == ["t-3"]
    assert await ids(store, text="%") == []
    assert await ids(store, ids=("t-4", "t-9"), tenant="default") == ["t-4"]
    assert await ids(store, tenant="other") == []
    assert await ids(store, status=("open",), limit=2) == ["t-1", "t-2"]
    assert await ids(store, instance_id="b") == []

"""Following a tenant: every entry of its history once, in the order of commits, whoever writes, whatever is archived meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stepkeel.model.commit import Batch, Commit, HistoryRow, Start, StartRow
from stepkeel.store.feed import FeedRow, Place, end_of, page_of
from stepkeel.store.port import Query, Store
from stepkeel.store.postgres.store import PostgresStore
from stepkeel.store.sqlite.store import SqliteStore
from tests import postgres
from tests.contract.test_store import step, worker

BEGINNING = end_of(0)


async def begun(store: Store, *ids: str, tenant: str = "default", owner: str | None = None) -> None:
    first = step(1, status="running" if owner else "created", release=owner is None, wake_at=None if owner else 1)
    await store.commit(Batch(starts=tuple(Start(i, StartRow(tenant, "flow", 1), first, owner) for i in ids)))


async def stepped(store: Store, id: str, revision: int, status: str = "running") -> None:
    done = await store.commit(Batch(commits=(Commit(id, "default", "w", 1, revision - 1, step(revision, status=status)),)))
    assert done.commits == (True,)


async def followed(store: Store, count: int, after: Place = BEGINNING, limit: int = 3) -> list[FeedRow]:
    """Until so many have been told. What runs elsewhere in the server may hold them up for a moment."""
    found: list[FeedRow] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            page = await store.feed("default", after, limit)
            assert len(page.rows) <= limit
            assert page.end >= max([after, *(r.place for r in page.rows)]), "never back"
            found += page.rows
            after = page.end
            await asyncio.sleep(0)
    return found


def told(rows: list[FeedRow]) -> list[tuple[str, int]]:
    return [(r.instance_id, r.entry.revision) for r in rows]


def test_what_was_committed_between_the_two_questions_of_a_page_is_told_once() -> None:
    """Of the newest commit and of the rows: they are two, and the second may know more."""
    row = FeedRow(8, "a", HistoryRow(1, 1, "", "", b"[]", b"{}"))
    page = page_of([row], limit=5, newest=7, after=end_of(6))
    assert page.end == row.place
    assert page_of([], limit=5, newest=7, after=row.place).end == row.place
    assert page_of([row], limit=5, newest=9, after=end_of(6)).end == end_of(9)


async def test_entries_are_told_in_the_order_of_their_commits_not_of_their_instants_or_ids(store: Store) -> None:
    await worker(store, "w")
    await begun(store, "b", owner="w")
    await begun(store, "a", "c", owner="w")
    await begun(store, "x", tenant="other")
    await stepped(store, "c", 2)
    await stepped(store, "b", 2, "completed")
    await begun(store, "0")
    wanted = [("b", 1), ("a", 1), ("c", 1), ("c", 2), ("b", 2), ("0", 1)]
    for limit in (1, 2, 3, 100):
        assert told(await followed(store, 6, limit=limit)) == wanted
    rows = await followed(store, 6)
    assert [r.entry for r in rows if r.instance_id == "b"] == list(await store.history("b"))
    for n, row in enumerate(rows):
        assert told(await followed(store, 5 - n, row.place)) == wanted[n + 1 :], "from any place in it"
    assert told(list((await store.feed("other", BEGINNING, 9)).rows)) == [("x", 1)]
    assert (await store.feed("nobody", BEGINNING, 9)).rows == ()


async def test_who_begins_now_is_told_what_comes_and_nothing_of_what_was(store: Store) -> None:
    await begun(store, "a", "b")
    await followed(store, 2)
    begin = await store.feed("default", None, 9)
    assert begin.rows == ()
    await begun(store, "x", tenant="other")
    await begun(store, "c")
    rows = await followed(store, 1, begin.end)
    assert told(rows) == [("c", 1)]
    again = await store.feed("default", rows[0].place, 9)
    assert again.rows == ()
    assert again.end >= rows[0].place


async def test_what_is_archived_is_told_where_it_was_and_what_is_purged_is_not(store: Store) -> None:
    await worker(store, "w")
    await begun(store, "a", "b", owner="w")
    await stepped(store, "a", 2, "completed")
    await stepped(store, "b", 2)
    wanted = [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    first = (await followed(store, 4))[0]
    await store.archive(Query(ids=("a",)))
    assert told(await followed(store, 4)) == wanted
    assert told(await followed(store, 3, first.place)) == wanted[1:]
    await store.purge(Query(ids=("a",), archived=True))
    assert told(await followed(store, 2)) == [("b", 1), ("b", 2)]
    await begun(store, "c")
    assert told(await followed(store, 3)) == [("b", 1), ("b", 2), ("c", 1)]


async def test_a_commit_that_does_not_match_tells_nothing(store: Store) -> None:
    await worker(store, "w")
    await begun(store, "a", "b", owner="w")
    rows = tuple(Commit(i, "default", "w", 9 if i == "b" else 1, 1, step(2)) for i in "ab")
    assert (await store.commit(Batch(commits=rows))).commits == (True, False)
    await begun(store, "c")
    assert told(await followed(store, 4)) == [("a", 1), ("b", 1), ("a", 2), ("c", 1)]


@pytest.fixture(params=["sqlite", "postgresql"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Two on one database."""
    if request.param == "sqlite":
        found: tuple[Store, Store] = (SqliteStore(str(tmp_path / "s.db")), SqliteStore(str(tmp_path / "s.db")))
        for each in found:
            await each.open()
        yield found
        for each in found:
            await each.close()
    else:
        with postgres.fresh_schema() as url:
            found = (PostgresStore(url), PostgresStore(url))
            for each in found:
                await each.open()
            yield found
            for each in found:
                await each.close()


async def test_while_many_write_none_is_missed_and_none_told_twice(pair: tuple[Store, Store]) -> None:
    async def write(store: Store, n: int) -> None:
        for k in range(40):
            await begun(store, *(f"{n}-{k}-{m}" for m in range(3)))

    following = asyncio.ensure_future(followed(pair[0], 480, limit=7))
    await asyncio.gather(*(write(pair[n % 2], n) for n in range(4)))
    rows = await following
    assert len({r.place for r in rows}) == 480
    assert [r.place for r in rows] == sorted(r.place for r in rows)
    assert {r.instance_id for r in rows} == {f"{n}-{k}-{m}" for n in range(4) for k in range(40) for m in range(3)}


async def test_what_commits_late_is_not_passed_over() -> None:
    """A transaction that has written and not yet committed holds up what came after it, for it belongs before that."""
    with postgres.fresh_schema() as url:
        slow, quick = PostgresStore(url), PostgresStore(url)
        for each in (slow, quick):
            await each.open()
        written, go = asyncio.Event(), asyncio.Event()
        first = Start("late", StartRow("default", "flow", 1), step(1, status="created", release=True, wake_at=1))

        async def hold(connection: object) -> None:
            await slow._writer.within(connection, Batch(starts=(first,)))
            written.set()
            await go.wait()

        holding = asyncio.create_task(slow._commits.transact(hold))
        await written.wait()
        await begun(quick, "soon")
        page = await quick.feed("default", BEGINNING, 9)
        assert page.rows == ()
        go.set()
        await holding
        assert told(await followed(quick, 2, page.end)) == [("late", 1), ("soon", 1)]
        for each in (slow, quick):
            await each.close()

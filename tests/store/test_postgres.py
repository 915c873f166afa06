"""What only PostgreSQL has: migrations, plans, many at once, connections that break, a pooler in between."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from typing import Any

import asyncpg
import pytest

from stepkeel.errors import BadRequest, DatabaseInvalid, DataInvalid, SchemaTooNew, Unavailable
from stepkeel.model.commit import Batch, Commit, Delivery
from stepkeel.store.port import Wanted
from stepkeel.store.postgres import schema
from stepkeel.store.postgres.connection import Lane, Server, connect, shown
from stepkeel.store.postgres.query import migrations, statements
from stepkeel.store.postgres.store import PostgresStore
from tests import postgres
from tests.contract.test_store import begin, signal, step, worker


@pytest.fixture
def place() -> Iterator[str]:
    with postgres.fresh_schema() as url:
        yield url


@pytest.fixture
async def store(place: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(place)
    await made.open()
    yield made
    await made.close()


_COLUMNS = """
select table_name, column_name, data_type, collation_name, is_nullable, column_default, ordinal_position
from information_schema.columns where table_schema = $1 order by 1, 7
"""
_INDEXES = "select tablename, indexname, indexdef from pg_indexes where schemaname = $1 order by 1, 2"
_CHECKS = """
select c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid) from pg_constraint c
join pg_namespace n on n.oid = c.connamespace where n.nspname = $1 order by 1, 2
"""
_OPTIONS = """
select c.relname, c.reloptions::text, pg_get_partkeydef(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') order by 1
"""


async def _described(connection: Any, name: str) -> list[str]:
    found: list[str] = []
    for sql in (_COLUMNS, _INDEXES, _CHECKS, _OPTIONS):
        for row in await connection.fetch(sql, name):
            found.append(str(tuple(row)).replace(name, "SCHEMA"))
    return found


async def test_migrations_build_exactly_the_schema_that_explains_itself(place: str) -> None:
    explained = files("stepkeel.store.postgres").joinpath("schema.sql").read_text(encoding="utf-8")
    connection = await asyncpg.connect(postgres.database_url())
    try:
        described: list[list[str]] = []
        for name, script in (
            ("built_a", "\n".join(migrations("built_a"))),
            ("built_b", explained.replace("stepkeel.", "built_b.")),
        ):
            await connection.execute(f"drop schema if exists {name} cascade; create schema {name}")
            await connection.execute(script)
            described.append(await _described(connection, name))
            await connection.execute(f"drop schema {name} cascade")
        assert described[0] == described[1]
        assert len(described[0]) > 100
    finally:
        await connection.close()


HOT = ["write", "deliver", "due", "claim", "claim_portable", "owned", "news", "give_back", "dead_owners", "take_over"]
HOT += ["fences", "inbox", "receipts", "keys", "rows", "history", "signals", "lock"]


@pytest.mark.parametrize("name", HOT)
async def test_plans_made_on_empty_tables_walk_no_table_when_they_have_grown(store: PostgresStore, name: str) -> None:
    """Plans are kept: one that scans because the table is small would scan it when it is large."""
    connection = await connect(store.server)
    sql = statements(store.server.schema)[name]
    try:
        await connection.execute(f"prepare probe as {sql}")
        count = max((int(n) for n in re.findall(r"\$(\d+)", sql)), default=0)
        values = f"({', '.join(['null'] * count)})" if count else ""
        plan = "\n".join(r[0] for r in await connection.fetch(f"explain execute probe{values}"))
    finally:
        await connection.close()
    tables = "instances|history|signals|start_keys|archive_\\w+"
    assert not re.search(rf"Seq Scan on (\w+\.)?({tables})\b", plan), plan
    full = re.findall(rf"Index (?:Only )?Scan using \w+ on (?:{tables})[^\n]*\n(?!\s+(?:Index Cond|Filter|Recheck))", plan)
    assert not full or name == "dead_owners", plan


async def test_every_statement_is_known_to_the_server(store: PostgresStore) -> None:
    connection = await connect(store.server)
    try:
        for name, sql in statements(store.server.schema).items():
            if not name.endswith("columns"):
                try:
                    await connection.prepare(sql)
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{name}: {error}")
    finally:
        await connection.close()


async def test_many_that_open_an_empty_database_at_once_make_its_tables_once(place: str) -> None:
    stores = [PostgresStore(place) for _ in range(6)]
    await asyncio.gather(*(s.open() for s in stores))
    assert await begin(stores[0], "a") == "a"
    assert (await stores[5].load(["a"])).keys() == {"a"}
    for store in stores:
        await store.close()


async def test_a_schema_with_other_tables_is_refused_and_left_alone(place: str) -> None:
    name = place.partition("schema=")[2]
    postgres.execute(place, f'create schema "{name}"; create table "{name}".instances (x int)')
    with pytest.raises(DatabaseInvalid, match=r"holds tables of another program \(instances\)"):
        await PostgresStore(place).open()


async def test_a_newer_schema_is_refused(place: str, store: PostgresStore) -> None:
    postgres.execute(place, f"update \"{store.server.schema}\".meta set value = '99' where name = 'schema'")
    with pytest.raises(SchemaTooNew, match="has schema 99, this release knows"):
        await PostgresStore(place).open()


async def test_an_older_schema_asks_for_the_upgrade_which_runs_what_is_missing(
    place: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations(store.server.schema)
    added = f'create table "{store.server.schema}".added (x int)'
    monkeypatch.setattr(schema, "migrations", lambda _: (*known, added))
    with pytest.raises(DatabaseInvalid, match=f"has schema {len(known)}, this release needs {len(known) + 1}") as caught:
        await PostgresStore(place).open()
    assert "stepkeel db upgrade" in caught.value.remedy
    done = await PostgresStore(place).upgrade()
    assert (done.before, done.now) == (len(known), len(known) + 1)
    again = PostgresStore(place)
    await again.open()
    await again.close()


async def test_an_old_server_is_refused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        major = 12

    monkeypatch.setattr(asyncpg.Connection, "get_server_version", lambda _: Old)
    with pytest.raises(DatabaseInvalid, match="PostgreSQL 12, 13 is the oldest"):
        await PostgresStore(place).open()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:secret@127.0.0.1:1/db", "postgresql://u:\\*\\*\\*@127.0.0.1:1/db"),
        ("postgresql://127.0.0.1:1/db?password=secret", "password=%2A%2A%2A"),
    ],
)
async def test_an_unreachable_server_is_named_without_its_password(url: str, said: str) -> None:
    with pytest.raises(Unavailable, match=said) as caught:
        await PostgresStore(url).open()
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Server.of(url))
    assert "secret" not in shown(url)


async def test_a_database_that_does_not_exist_and_a_user_who_may_not_are_told_apart_from_outages() -> None:
    base = postgres.database_url().rpartition("/")[0]
    with pytest.raises(DatabaseInvalid, match='database "nowhere" does not exist'):
        await PostgresStore(f"{base}/nowhere").open()


async def test_missing_privileges_are_named(place: str) -> None:
    postgres.execute(place, "drop role if exists stepkeel_guest; create role stepkeel_guest login")
    guest = place.replace("stepkeel@", "stepkeel_guest@")
    if guest == place:
        pytest.skip("needs a server whose users need no password")
    with pytest.raises(DatabaseInvalid, match="permission denied for database") as caught:
        await PostgresStore(guest).open()
    assert "stepkeel db upgrade" in caught.value.remedy


@pytest.mark.parametrize("options", ["profile=fast", "pooler=session", "schema="])
def test_unknown_options_of_the_url_are_refused(options: str) -> None:
    with pytest.raises(BadRequest):
        Server.of(f"postgresql://h/db?{options}")


async def test_text_that_no_column_takes_is_refused_and_its_neighbours_can_go_on(store: PostgresStore) -> None:
    await begin(store, "a")
    bad = Delivery("a", "default", "signal", "Go\0", b"{}", "k", "", 1)
    with pytest.raises(DataInvalid):
        await store.commit(Batch(deliveries=(bad,)))
    assert (await store.commit(signal("a"))).deliveries[0].seq == 1


async def test_a_fault_with_a_zero_byte_still_sets_its_instance_aside(store: PostgresStore) -> None:
    await worker(store, "w")
    await begin(store, "a", owner="w")
    aside = step(2, status="paused", release=True, snapshot=None, fault="bad\0text \ud800")
    answer = await store.commit(Batch(commits=(Commit("a", "default", "w", 1, 1, aside),)))
    assert answer.commits == (True,)
    assert (await store.load(["a"]))["a"].fault == "bad\N{REPLACEMENT CHARACTER}text ?"


async def test_a_lost_connection_is_made_again_and_the_caller_sees_nothing(store: PostgresStore) -> None:
    await begin(store, "a")
    _kill(store)
    assert (await store.load(["a"])).keys() == {"a"}
    assert await store.workers() == []


async def test_a_commit_on_a_lost_connection_is_unavailable_at_once_so_that_its_sender_reads_back(store: PostgresStore) -> None:
    await begin(store, "a")
    _kill(store)
    with pytest.raises(Unavailable):
        await store.commit(signal("a"))
    assert (await store.commit(signal("a"))).deliveries[0].seq == 1


def _kill(store: PostgresStore) -> None:
    """What the end of a server process looks like."""
    postgres.execute(store.server.dsn, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")


async def test_a_transaction_that_loses_a_deadlock_is_run_again_as_a_whole(store: PostgresStore) -> None:
    await begin(store, "a")
    await begin(store, "b")
    lanes = [Lane(store.server), Lane(store.server)]
    ready = [asyncio.Event(), asyncio.Event()]
    runs = 0

    async def crossing(n: int, first: str, second: str) -> None:
        async def work(connection: Any) -> None:
            nonlocal runs
            runs += 1
            sql = f'update "{store.server.schema}".instances set takeovers = takeovers + 1 where id = $1'
            await connection.execute(sql, first)
            ready[n].set()
            await ready[1 - n].wait()
            await connection.execute(sql, second)

        await lanes[n].transact(work)

    await asyncio.gather(crossing(0, "a", "b"), crossing(1, "b", "a"))
    rows = await store.load(["a", "b"])
    assert (runs, rows["a"].takeovers, rows["b"].takeovers) == (3, 2, 2)
    for lane in lanes:
        await lane.close()


async def test_two_workers_that_claim_at_once_share_what_is_due_and_never_the_same_row(store: PostgresStore) -> None:
    other = PostgresStore(f"{store.server.dsn}?schema={store.server.schema}")
    await other.open()
    await worker(store, "v")
    await worker(store, "w")
    ids = {await begin(store, f"i{n:03}") for n in range(200)}
    claimed: list[str] = []
    while len(claimed) < 200:
        for answer in await asyncio.gather(*(s.claim(w, [Wanted("flow", 1)], 30) for s, w in ((store, "v"), (other, "w")))):
            claimed += [r.id for r in answer.rows]
    assert sorted(claimed) == sorted(ids)
    await other.close()


async def test_news_reach_other_processes_and_the_portable_profile_has_none(store: PostgresStore) -> None:
    heard: list[str | None] = []
    come = asyncio.Event()
    other = PostgresStore(f"{store.server.dsn}?schema={store.server.schema}")
    await other.open()

    def listening(worker: str | None) -> None:
        heard.append(worker)
        come.set()

    other.listen(listening)
    async with asyncio.timeout(10):
        await come.wait()  # it is listening now
        heard.clear()
        for worker_id in ("w1", "w2", None, "w1"):
            store.tell(worker_id)
        while set(heard) != {"w1", "w2", None}:
            come.clear()
            await come.wait()
    assert len(heard) == 3  # gathered into one
    await other.close()


async def test_the_months_ahead_have_their_parts_of_the_archive_and_rows_that_lay_in_the_last_part_move(
    store: PostgresStore,
) -> None:
    now = 1_790_000_000_000_000  # 2026-09-21
    early, late = "01a00000-0000-7000-8000-000000000001", schema._prefix(schema._first(2026, 10)) + "-7000-8000-000000000001"
    for each in (early, late):
        await begin(store, each)
        done = step(2, status="completed")
        await store.commit(Batch(commits=(Commit(each, "default", None, 1, 1, done),)))
        archived = step(3, status="completed", archive=True)
        row = (await store.load([each]))[each]
        await store.commit(Batch(commits=(Commit(each, "default", None, row.epoch, 2, archived),)))
    connection = await connect(store.server, planning=False)
    try:
        made = await schema.make_partitions(connection, store.server, now, ahead=2)
        assert sorted(n for n in made if "instances" in n) == [f"archive_instances_2026_{m}" for m in ("09", "10", "11")]
        assert await schema.make_partitions(connection, store.server, now, ahead=2) == []
        name = store.server.schema
        assert await connection.fetchval(f'select count(*) from "{name}".archive_instances_2026_10') == 1
        assert await connection.fetchval(f'select count(*) from "{name}".archive_history_2026_10') == 3
        assert await connection.fetchval(f'select count(*) from "{name}".archive_instances_rest') == 1
    finally:
        await connection.close()
    assert (await store.load([late]))[late].archived
    assert len(await store.history(late)) == 3


async def test_a_connection_made_while_its_store_closes_is_hung_up(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    connecting, closed = asyncio.Event(), asyncio.Event()

    async def slow(server: Server, **how: Any) -> Any:
        connecting.set()
        await closed.wait()
        made.append(await connect(server, **how))
        return made[-1]

    monkeypatch.setattr("stepkeel.store.postgres.connection.connect", slow)
    lane = Lane(store.server)
    asking = asyncio.create_task(lane.fetch("select 1"))
    await connecting.wait()
    await lane.close()
    closed.set()
    with pytest.raises(Unavailable, match="closed"):
        await asking
    assert [c.is_closed() for c in made] == [True]


async def test_connecting_may_be_given_up_at_any_moment_and_leaves_nothing_behind(store: PostgresStore) -> None:
    left: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: left.append(str(context.get("exception") or context["message"])))
    try:
        for moments in range(60):
            task = asyncio.ensure_future(connect(store.server))
            for _ in range(moments):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled() and task.exception() is None:
                task.result().terminate()
            del task
            gc.collect()
            await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert left == []

"""Row-level security: a request of a tenant is shown no rows of another, though the statement had forgotten to say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from stepkeel import Context, Engine, Signal, State, Workflow, activity, approval, emit
from stepkeel.errors import BadRequest, DatabaseInvalid
from stepkeel.model.act import ActQuery
from stepkeel.model.cached import CachedRow
from stepkeel.store.feed import end_of
from stepkeel.store.port import Query, TaskQuery
from stepkeel.store.postgres.store import PostgresStore
from tests import postgres
from tests.flows import Job


class Paid(Signal):
    by: str


@activity
async def look_up(ctx: Context[Job]) -> None:
    ctx.data.amount += 1


class Order(Workflow[Job]):
    new = State[Job](look_up, emit(lambda job: {"name": job.name}, to="seen"))
    paying = State(approval("Pay?", role="approver"))
    done = State.completed()
    new.to(paying)
    paying.on(Paid, to=done)
    paying.to(done)


@pytest.fixture(params=["", "&pooler=transaction", "&profile=portable"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with postgres.fresh_schema(postgres.tenant_role() + request.param) as made:
        yield made


@pytest.fixture
async def engines(url: str) -> AsyncIterator[tuple[Engine, Engine]]:
    async with Engine(url, [Order]) as ours, Engine(url, [Order], tenant="acme") as theirs:
        yield ours, theirs


async def made(engine: Engine) -> str:
    """An instance that waits for a person, with a key, a message on its way, and something in the inbox."""
    instance = await engine.start(Order, Job("x"), key="k", attributes={"colour": "red"})
    async with asyncio.timeout(10):
        while (await engine.get(instance.id)).status != "waiting":
            await asyncio.sleep(0.002)
    await engine.pause(instance.id, actor="ann")
    await instance.signal(Paid("bob"))
    return instance.id


async def shown(store: Any, tenant: str, id: str) -> dict[str, int]:
    """How much of one tenant's each question answers with, or how much of it an act would reach."""
    asked: dict[str, Any] = {
        "load": (await store.load([id])).values(),
        "list": await store.list(Query(tenant=tenant)),
        "list by attribute": await store.list(Query(tenant=tenant, attributes={"colour": "red"})),
        "list of all": [r for r in await store.list(Query()) if r.tenant == tenant],
        "history": await store.history(id),
        "signals": await store.signals(id),
        "inbox": (await store.inbox({id: 0}))[id][1],
        "tasks": await store.tasks(TaskQuery(instance_id=id)),
        "tasks of all": [t for t in await store.tasks(TaskQuery()) if t.tenant == tenant],
        "start key": await store.find_key(tenant, "Order", "k") or "",
        "metrics": await store.metrics(tenant),
        "messages": [m for m in await store.outbox() if m.tenant == tenant],
        "audit": await store.acts(ActQuery(tenant=tenant)),
        "audit head": range((await store.audit_head(tenant)).seq),
        "keys": await store.keys(tenant),
    }
    return {name: len(rows) for name, rows in asked.items()}


async def test_a_tenants_request_is_shown_all_of_its_own_and_nothing_of_anothers(engines: tuple[Engine, Engine]) -> None:
    ours, theirs = engines
    for engine in engines:
        await engine.keys.create("a", roles=["viewer"])
    mine, other = await made(ours), await made(theirs)
    store = ours.core().store
    view = store.within("default")
    found = await shown(view, "default", mine)
    assert all(found.values()), found
    assert found == await shown(store, "default", mine), "as without the wall"
    assert not any((await shown(view, "acme", other)).values())
    assert all((await shown(store.within("acme"), "acme", other)).values()), "the wall is each request's own"
    assert sum(m.count for m in await view.metrics(None)) == 1, "nor counted"
    await store.put_cached(CachedRow("acme", "look_up", "x", b"1", store.now() + 10**9))
    assert await store.cached("acme", "look_up", "x") == b"1"
    assert await view.cached("acme", "look_up", "x") is None
    assert await view.keys("*") == []


async def test_a_stream_of_a_tenant_is_behind_it_too(engines: tuple[Engine, Engine]) -> None:
    for engine in engines:
        await made(engine)
    view = engines[0].core().store.within("default")
    async with asyncio.timeout(10):
        while (
            not (await view.feed("default", end_of(0), 9)).rows or not (await view.within("acme").feed("acme", end_of(0), 9)).rows
        ):
            await asyncio.sleep(0.01)
    assert (await view.feed("acme", end_of(0), 9)).rows == ()


async def test_what_a_request_may_end_or_remove_is_its_own(engines: tuple[Engine, Engine]) -> None:
    ours, theirs = engines
    for engine in engines:
        await engine.cancel(await made(engine))
    view = ours.core().store.within("default")
    assert await view.forget_cached("acme", "") == 0
    assert await view.archive(Query(limit=10)) == 1, "what is meant for all reaches but one's own"
    assert (await ours.list()).items == () != (await theirs.list()).items
    assert await view.purge(Query(archived=True, limit=10)) == 1
    assert await view.purge(Query(limit=10)) == 0
    assert len((await theirs.list()).items) == 1


async def test_who_takes_the_role_and_names_no_tenant_sees_nothing(url: str, engines: tuple[Engine, Engine]) -> None:
    await made(engines[0])
    place, _, options = url.partition("?schema=")
    schema = options.partition("&")[0]
    connection = await asyncpg.connect(place)
    tables = [
        r[0]
        for r in await connection.fetch(
            "select relname from pg_class where relrowsecurity and relnamespace = $1::regnamespace", schema
        )
    ]
    assert {"instances", "history", "signals", "tasks", "tickets", "outbox", "audit", "archive_instances"} <= set(tables)
    await connection.execute('set role "stepkeel_tenant"')
    for table in tables:
        rows = await connection.fetch(f'select * from "{schema}"."{table}" where tenant <> $1', "*")
        assert rows == [], table
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"insert into \"{schema}\".start_keys values ('default', 'Order', 'x', 'y')")
    await connection.close()


async def test_workers_whose_user_does_not_own_the_tables_see_every_tenant(url: str, engines: tuple[Engine, Engine]) -> None:
    mine = await made(engines[0])
    _, _, options = url.partition("?schema=")
    schema = options.partition("&")[0]
    user = f"app_{schema}"
    postgres.execute(
        url,
        f'create role "{user}" login in role stepkeel_tenant; grant usage on schema "{schema}" to "{user}";'
        f'grant all on all tables in schema "{schema}" to "{user}"',
    )
    try:
        store = PostgresStore(url.replace("stepkeel@", f"{user}@"))
        await store.open()
        assert set(await store.load([mine])) == set(await store.within("default").load([mine])) == {mine}
        assert await store.within("acme").load([mine]) == {}
        await store.close()
    finally:
        postgres.execute(url, f'drop owned by "{user}"; drop role "{user}"')


async def test_tenants_that_follow_one_another_on_a_connection_are_shown_their_own(engines: tuple[Engine, Engine]) -> None:
    ids = {"default": await made(engines[0]), "acme": await made(engines[1])}
    store = engines[0].core().store

    async def look(tenant: str) -> None:
        for _ in range(20):
            found = await store.within(tenant).load(list(ids.values()))
            assert set(found) == {ids[tenant]}
            assert [r.id for r in await store.within(tenant).list(Query())] == [ids[tenant]]

    await asyncio.gather(*(look(t) for t in (*ids, *ids)))


async def test_a_tenants_name_is_no_part_of_a_statement(engines: tuple[Engine, Engine]) -> None:
    await made(engines[0])
    for name in ("default' or true --", "'; reset role; --", "*", ""):
        assert await engines[0].core().store.within(name).list(Query()) == []


# -- a database that has no wall yet


async def refused(url: str, *, upgrade: bool = False) -> str:
    store = PostgresStore(url)
    with pytest.raises(DatabaseInvalid) as caught:
        await (store.upgrade() if upgrade else store.open())
    return str(caught.value)


async def test_an_upgrade_builds_it_where_it_is_missing_and_changes_nothing_again() -> None:
    with postgres.fresh_schema() as plain:
        async with Engine(plain, [Order]) as engine:
            id = await made(engine)
        url = plain + postgres.tenant_role()
        said = await refused(url)
        assert "have no wall for stepkeel_tenant" in said
        assert "stepkeel db upgrade" in said
        for _ in range(2):
            await PostgresStore(url).upgrade()
        async with Engine(url, [Order]) as engine:
            assert set(await engine.core().store.within("default").load([id])) == {id}
        async with Engine(plain, [Order]) as engine:  # who does not name the role goes on as before
            assert (await engine.get(id)).id == id


async def test_a_role_that_will_not_do_is_told_before_anything_is_made() -> None:
    postgres.tenant_role()
    with postgres.fresh_schema() as plain:
        for upgrade in (False, True):
            said = await refused(f"{plain}&tenant_role=nobody_of_this_name", upgrade=upgrade)
            assert "there is no role nobody_of_this_name" in said
            assert 'create role "nobody_of_this_name" nologin; grant "nobody_of_this_name" to "stepkeel";' in said
            assert "sees every row" in await refused(f"{plain}&tenant_role=stepkeel", upgrade=upgrade)
        store = PostgresStore(plain)
        with pytest.raises(DatabaseInvalid, match="no tables of ours"):
            await store.open(make=False)
    for wrong in ("&tenant_role=", f"&tenant_role={'x' * 41}"):
        with pytest.raises(BadRequest, match="tenant_role"):
            PostgresStore(f"{plain}{wrong}")

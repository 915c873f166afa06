"""The history of all instances of a tenant as it happens: every entry once, also to who comes back, and to no other tenant."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.access import Access
from stepkeel.api.routes.stream import _whole
from tests import postgres
from tests.api.served import events_of, served
from tests.flows import Go, Job, OrderFlow, WaitFlow, World


class Listener:
    """Reads as a browser does: it keeps the last id, also that of a message without data, and comes back with it."""

    def __init__(self, client: httpx2.AsyncClient, at: str, last: str = "") -> None:
        self.client = client
        self.at = at
        self.last = last
        self.told: list[tuple[str, int]] = []

    async def listen(self, most: int = 10_000, seconds: float = 20.0, **headers: str) -> None:
        """Until it has been told so much, or it ends."""
        async with aclosing(self._events(seconds, headers)) as events:
            async for entry in events:
                self.told.append((entry["instance_id"], entry["entry"]["revision"]))
                most -= 1
                if not most:
                    return

    async def _events(self, seconds: float, headers: dict[str, str]) -> AsyncGenerator[Any]:
        headers |= {"Last-Event-ID": self.last} if self.last else {}
        async with self.client.stream("GET", f"{self.at}/events?seconds={seconds}", headers=headers) as answer:
            async for event in events_of(answer):
                self.last = event.get("id", self.last)
                if "data" in event:
                    assert event["event"] == "history"
                    yield json.loads(event["data"])


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=20) as made:
        yield made


async def test_clients_that_come_back_at_random_are_told_every_entry_once_whatever_is_archived(
    url: str, client: httpx2.AsyncClient
) -> None:
    async with Engine(url, [OrderFlow], {World: World()}) as engine, served(engine.asgi()) as at:
        chance = random.Random(7)
        listeners = [Listener(client, at) for _ in range(3)]
        for each in listeners:
            await each.listen(seconds=0)
            assert each.told == []
            assert each.last, "where it begins"
        stop = asyncio.Event()

        async def listens(each: Listener) -> None:
            while not stop.is_set():
                await each.listen(chance.randint(1, 4), chance.choice((0.0, 0.05)))

        listening = [asyncio.create_task(listens(each)) for each in listeners]
        jobs = [await engine.start(OrderFlow, Job(str(n))) for n in range(8)]
        for n, job in enumerate(jobs):
            await job.wait(10, state=OrderFlow.waiting)
            await job.signal(Go(), wait=10)
            await job.wait(10)
            if n % 2:
                await job.archive()
        wanted = sorted([(job.id, e.revision) for job in jobs for e in await job.history()])
        async with asyncio.timeout(20):
            while any(len(each.told) < len(wanted) for each in listeners):
                await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*listening)
        for each in listeners:
            assert sorted(each.told) == wanted
            assert each.told == listeners[0].told, "in one order"


async def test_it_tells_what_happens_wherever_that_is_and_nothing_of_other_tenants(url: str, client: httpx2.AsyncClient) -> None:
    async with (
        Engine(url, [WaitFlow]) as engine,
        Engine(url, [WaitFlow], tenant="acme") as theirs,
        Engine(url, [WaitFlow], worker=False) as other,
    ):
        keys = {e: (await e.keys.create("x", roles=["viewer"])).secret for e in (engine, theirs)}
        narrow = (await engine.keys.create("y", roles=["viewer"], scopes=["get_*"])).secret
        async with served(other.asgi(access=Access())) as at:
            ours = Listener(client, at)
            mine = {"Authorization": f"Bearer {keys[engine]}"}
            await ours.listen(seconds=0, **mine)
            job = await engine.start(WaitFlow, Job())
            secret = await theirs.start(WaitFlow, Job())
            await ours.listen(1, **mine)
            assert ours.told == [(job.id, 1)]
            stranger = Listener(client, at, ours.last)
            await stranger.listen(1, Authorization=f"Bearer {keys[theirs]}")
            assert {i for i, _ in stranger.told} <= {secret.id}
            assert (await client.get(f"{at}/events")).status_code == 401
            assert (await client.get(f"{at}/events", headers={"Authorization": f"Bearer {narrow}"})).status_code == 403


@pytest.mark.corrupts
async def test_an_entry_that_does_not_decode_holds_up_none_behind_it(tmp_path: Path, client: httpx2.AsyncClient) -> None:
    async with Engine(f"sqlite:///{tmp_path / 's.db'}", [WaitFlow]) as engine, served(engine.asgi()) as at:
        listener = Listener(client, at)
        await listener.listen(seconds=0)
        first, second = [await engine.start(WaitFlow, Job()) for _ in range(2)]
        for each in (first, second):
            await each.wait(10, state=WaitFlow.ready)
        store: Any = engine.store
        store._write_to.db.execute("update history set events = x'00' where instance_id = ?", (first.id,))
        await listener.listen(seconds=0)
        assert {i for i, _ in listener.told} == {second.id}


async def test_a_place_that_is_none_is_refused(url: str, client: httpx2.AsyncClient) -> None:
    async with Engine(url, [WaitFlow]) as engine, served(engine.asgi()) as at:
        for wrong in ("x", "1", "1.2", "-1.a.1", "1.a.x", "9" * 30 + ".a.1", "1.ä.1", "9" * 18 + ".a.1"):
            for asked in ({"headers": {"Last-Event-ID": wrong.encode()}}, {"params": {"after": wrong}}):
                answer = await client.get(f"{at}/events", **asked)  # type: ignore[arg-type]
                assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), wrong
        assert (await client.get(f"{at}/events?seconds=-1")).status_code == 400
        assert (await client.get(f"{at}/events?seconds=601")).status_code == 400


async def test_a_client_that_goes_away_breaks_no_connection_that_others_use() -> None:
    with postgres.fresh_schema() as url:
        async with Engine(url, [WaitFlow], worker=False) as engine:
            store: Any = engine.store
            await store.feed("default", None, 1)
            before = store._work._connection
            for _ in range(5):
                asking = asyncio.create_task(_whole(store.feed("default", None, 1)))
                await asyncio.sleep(0)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
            assert (await store.feed("default", None, 1)).rows == ()
            assert store._work._connection is before


async def test_it_ends_when_the_server_does(client: httpx2.AsyncClient) -> None:
    async with Engine("memory://", [WaitFlow]) as engine:
        async with served(engine.asgi()) as at:
            listener = Listener(client, at)
            task = asyncio.create_task(listener.listen())
            while not listener.last:
                await asyncio.sleep(0.01)
        await asyncio.wait_for(task, 5)
        assert listener.told == []

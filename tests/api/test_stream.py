"""The history of an instance as it happens: every entry once, in order, also to who comes back, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.access import Access
from tests.api.served import events_of, served
from tests.flows import Go, Job, OrderFlow, WaitFlow, World


async def events(client: httpx2.AsyncClient, at: str, last: int = 0, most: int = 10_000) -> AsyncIterator[tuple[int, Any]]:
    """Id and data of each, as a browser reads them."""
    headers = {"Last-Event-ID": str(last)} if last else {}
    async with client.stream("GET", f"{at}/events", headers=headers) as answer:
        if answer.status_code == 204:
            return
        async for event in events_of(answer):
            if "data" in event:
                assert event["event"] == "history"
                yield int(event["id"]), json.loads(event["data"])
                most -= 1
                if not most:
                    return


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=20) as made:
        yield made


async def test_clients_that_come_back_at_random_are_told_every_entry_once(url: str, client: httpx2.AsyncClient) -> None:
    async with Engine(url, [OrderFlow], {World: World()}) as engine, served(engine.asgi()) as at:
        chance = random.Random(7)

        async def listens(id: str) -> list[int]:
            seen: list[int] = []
            async with asyncio.timeout(20):
                while True:
                    found = [
                        n async for n, _ in events(client, f"{at}/instances/{id}", seen[-1] if seen else 0, chance.randint(1, 3))
                    ]
                    if not found:
                        return seen
                    seen += found

        jobs = [await engine.start(OrderFlow, Job(str(n))) for n in range(5)]
        listening = [asyncio.create_task(listens(job.id)) for job in jobs for _ in range(3)]
        for job in jobs:
            await job.wait(10, state=OrderFlow.waiting)
            await job.pause()
            await job.resume()
            await job.signal(Go(), wait=10)
        for n, seen in enumerate(await asyncio.gather(*listening)):
            history = await jobs[n // 3].history()
            assert seen == [e.revision for e in history]
        assert (await jobs[0].get()).status == "completed"


async def test_it_tells_what_happens_while_it_is_listened_to_wherever_that_is(url: str, client: httpx2.AsyncClient) -> None:
    async with Engine(url, [WaitFlow]) as engine, Engine(url, [WaitFlow], worker=False) as other, served(other.asgi()) as at:
        job = await engine.start(WaitFlow, Job())
        told: asyncio.Queue[Any] = asyncio.Queue()

        async def listen() -> None:
            async for _, entry in events(client, f"{at}/instances/{job.id}"):
                told.put_nowait(entry)
            told.put_nowait(None)

        task = asyncio.create_task(listen())
        async with asyncio.timeout(10):
            assert (await told.get())["revision"] == 1
            await job.pause(actor="ann", reason="look")
            while (entry := await told.get())["actor"] != "ann":
                pass
            assert [e["type"] for e in entry["events"]] == ["paused"]
            await job.resume()
            await job.signal(Go(), wait=10)
            while await told.get() is not None:
                pass
            await task


async def test_who_has_been_told_all_of_an_ended_one_is_told_not_to_come_back(client: httpx2.AsyncClient) -> None:
    async with Engine("memory://", [WaitFlow]) as engine, served(engine.asgi()) as at:
        job = await engine.start(WaitFlow, Job())
        await job.cancel()
        place = f"{at}/instances/{job.id}/events"
        last = (await job.get()).revision
        assert (await client.get(place, headers={"Last-Event-ID": str(last)})).status_code == 204
        assert (await client.get(f"{place}?after={last}")).status_code == 204
        assert [n async for n, _ in events(client, f"{at}/instances/{job.id}")] == [*range(1, last + 1)]
        for wrong in ("x", "-1", "1.5", "9" * 30, "\u0661"):
            answer = await client.get(place, headers={"Last-Event-ID": wrong.encode()})
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert (await client.get(f"{place}?after=-1")).status_code == 400
        assert (await client.get(f"{at}/instances/none/events")).status_code == 404


async def test_it_is_told_to_nobody_who_may_not_and_ends_when_the_server_does(client: httpx2.AsyncClient) -> None:
    async with Engine("memory://", [WaitFlow]) as engine, Engine("memory://", tenant="acme") as _:
        key = (await engine.keys.create("x", roles=["viewer"], scopes=["get_*"])).secret
        async with served(engine.asgi(access=Access())) as at:
            job = await engine.start(WaitFlow, Job())
            assert (await client.get(f"{at}/instances/{job.id}/events")).status_code == 401
            answer = await client.get(f"{at}/instances/{job.id}/events", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 403
        async with served(engine.asgi()) as at:
            task = asyncio.create_task(_all(client, f"{at}/instances/{job.id}"))
            await asyncio.sleep(0)
            while not task.done() and not engine.core().hub._steps:
                await asyncio.sleep(0.01)
        assert await asyncio.wait_for(task, 5) == [1]


async def _all(client: httpx2.AsyncClient, at: str) -> list[int]:
    return [n async for n, _ in events(client, at)]

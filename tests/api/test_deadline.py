"""A request that takes too long is broken off and told so; what it asked for is lost for nobody, and held up by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.errors import BadRequest
from tests.api.place import API, Desk
from tests.api.served import served

SOON = 0.3
START = {"definition": "Desk", "data": {"name": "x"}}


@pytest.fixture
async def engine(url: str) -> AsyncIterator[Engine]:
    async with Engine(url, [Desk]) as opened:
        yield opened


def client(engine: Engine) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=engine.asgi(request_timeout=SOON))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")


async def test_a_start_that_is_held_up_is_told_and_found_again_by_its_key(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, commit = asyncio.Event(), engine.store.commit

    async def held_up(batch: Any) -> Any:
        await gate.wait()
        return await commit(batch)

    monkeypatch.setattr(engine.store, "commit", held_up)
    async with client(engine) as asking:
        key = {"Idempotency-Key": "k"}
        answer = await asking.post(f"{API}/instances", json=START, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "no answer within 0.3 s" in answer.text
        assert "Idempotency-Key" in answer.json()["remedy"]
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["X-Request-ID"]
        gate.set()
        async with asyncio.timeout(10):
            while not (found := (await engine.list()).items):
                await asyncio.sleep(0.002)
        again = await asking.post(f"{API}/instances", json=START, headers=key)
        assert (again.status_code, again.json()["id"]) == (200, found[0].id)
        async with asyncio.timeout(10):  # it runs: a start whose caller has gone is given to whoever works
            while (await engine.get(found[0].id)).status != "waiting":
                await asyncio.sleep(0.002)


async def test_a_read_that_is_held_up_is_broken_off_and_others_are_not(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Any) -> Any:
        await asyncio.Event().wait()

    id = (await engine.start(Desk, {"name": "x"})).id
    with monkeypatch.context() as patched:
        patched.setattr(engine.store, "list", never)
        async with client(engine) as asking:
            hung = asyncio.ensure_future(asking.get(f"{API}/instances"))
            assert (await asking.get(f"{API}/instances/{id}")).status_code == 200
            assert (await hung).status_code == 503


async def test_what_says_that_it_waits_may(engine: Engine) -> None:
    id = (await engine.start(Desk, {"name": "x"})).id
    async with client(engine) as asking:
        waited = await asking.get(f"{API}/instances/{id}/wait", params={"seconds": 3 * SOON})
        assert (waited.status_code, waited.json()["timed_out"]) == (200, True)
        begun = asyncio.get_running_loop().time()
        started = await asking.post(f"{API}/instances", json=START, headers={"Prefer": "wait=1"})
        assert started.status_code == 201
        assert asyncio.get_running_loop().time() - begun > 2 * SOON


async def test_a_stream_goes_on_and_a_body_that_trickles_does_not() -> None:
    async with Engine("memory://", [Desk]) as engine, served(engine.asgi(request_timeout=SOON)) as at:
        id = (await engine.start(Desk, {"name": "x"})).id
        async with httpx2.AsyncClient(base_url=at) as asking:
            async with asking.stream("GET", f"/instances/{id}/events") as stream:
                await asyncio.sleep(2 * SOON)
                await engine.pause(id)
                assert any([line async for line in _until(stream.aiter_lines(), "paused")])

            async def trickle() -> AsyncIterator[bytes]:
                for byte in b'{"definition": "Desk"':
                    yield bytes([byte])
                    await asyncio.sleep(SOON / 5)

            answer = await asking.post("/instances", content=trickle(), headers={"Content-Type": "application/json"})
            assert answer.status_code == 503
        assert len((await engine.list()).items) == 1


async def _until(lines: AsyncIterator[str], text: str) -> AsyncIterator[bool]:
    async for line in lines:
        yield text in line
        if text in line:
            return


@pytest.mark.parametrize("wrong", [0, -1, 10**9, float("nan")])
def test_a_time_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(BadRequest, match="request_timeout"):
        Engine("memory://").asgi(request_timeout=wrong)

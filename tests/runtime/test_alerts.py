"""Alerts: what is wrong is told once when it begins and once when it is over, by one worker of the fleet, to who listens."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.connectors.alerts import SIGNATURE, Alerts
from stepkeel.connectors.mail import Mail
from stepkeel.engine.alert import HOUR, MINUTE, Alert, Facts, Memory, judge
from stepkeel.errors import BadRequest
from stepkeel.model.breaker import BreakerRow
from stepkeel.testing import VirtualClock
from tests.connectors.test_connectors import Post
from tests.flows import FAST, ChainFlow, Job, WaitFlow, World

HOOK = "https://alerts.example.com/t0ken"


def names(found: list[Alert]) -> list[tuple[str, str]]:
    return [a.key for a in found]


# -- the rules


def look(memory: Memory, minute: int, completed: int, failed: int, **more: Any) -> list[tuple[str, str]]:
    return names(judge(Facts(minute * MINUTE, {"Order": completed}, {"Order": failed}, **more), memory))


def test_failing_is_a_share_of_what_ended_in_the_last_hour_and_of_ten_at_least() -> None:
    memory = Memory()
    assert look(memory, 0, 1_000, 900) == [], "what failed before anybody looked is no news"
    assert look(memory, 1, 1_004, 905) == [], "nine"
    assert look(memory, 2, 1_005, 905) == [("failing", "Order")]
    assert look(memory, 3, 1_094, 905) == [("failing", "Order")], "5 of 99"
    assert look(memory, 4, 1_095, 905) == [], "5 of 100 are not over 5 %"
    assert look(memory, 5, 1_095, 906) == [("failing", "Order")]
    assert look(memory, 70, 1_095, 906) == [], "an hour later"
    assert len(memory.looks) == 1 + len([f for f in memory.looks if f.at < 70 * MINUTE])
    assert all(f.at > 70 * MINUTE - HOUR for f in memory.looks)


def test_purging_hides_no_failure() -> None:
    memory = Memory()
    look(memory, 0, 1_000, 100)
    look(memory, 1, 1_005, 110)
    assert look(memory, 2, 0, 0) == [("failing", "Order")], "10 of 15 had failed before all was purged"
    assert look(memory, 3, 100, 0) == [("failing", "Order")], "10 of 115"
    assert look(memory, 4, 300, 0) == []


def test_behind_is_told_at_the_second_look_and_a_breaker_after_five_minutes() -> None:
    memory, late = Memory(), {"Order": 2 * MINUTE}
    assert look(memory, 0, 0, 0, waiting=late) == []
    assert look(memory, 1, 0, 0, waiting=late) == [("behind", "Order")]
    assert look(memory, 2, 0, 0, waiting={"Order": MINUTE}) == []
    assert look(memory, 3, 0, 0, waiting=late) == []
    assert look(Memory(), 10, 0, 0, open={"bank": 6 * MINUTE}) == []
    assert look(Memory(), 11, 0, 0, open={"bank": 6 * MINUTE}) == [("breaker_open", "bank")]


def test_a_failure_is_new_once_and_not_at_the_first_look() -> None:
    memory = Memory()
    old, new = ("Order", "paying", "declined"), ("Order", "paying", "timeout")
    assert look(memory, 0, 0, 0, latest=frozenset({old})) == []
    assert look(memory, 1, 0, 0, latest=frozenset({old, new})) == [("new_failure", "Order/paying/timeout")]
    assert look(memory, 2, 0, 0, latest=frozenset({new})) == []
    assert look(memory, 90, 0, 0, latest=frozenset({old})) == [], "also where all looks are older than an hour"


# -- who is told


class Hook:
    """A webhook that takes what comes, or does not."""

    def __init__(self) -> None:
        self.took: list[tuple[str, str, str]] = []
        self.requests: list[httpx2.Request] = []
        self.status = 204

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        told = json.loads(request.content)
        if self.status < 300:
            self.took.append((told["status"], told["alert"], told["subject"]))
        return httpx2.Response(self.status)

    def alerts(self, **options: Any) -> Alerts:
        return Alerts(webhook=HOOK, transport=httpx2.MockTransport(self), every=3600, **options)


@pytest.fixture
def hook() -> Hook:
    return Hook()


async def looked(engine: Engine) -> None:
    """The first look is its own."""
    async with asyncio.timeout(10):
        while not engine.process.alerter._memory.looks:
            await asyncio.sleep(0.005)


@pytest.fixture
async def engine(url: str, hook: Hook) -> AsyncIterator[Engine]:
    clock = VirtualClock()
    services = {World: World(), Alerts: hook.alerts(secret="s3cret", fleet="shop")}
    async with Engine(url, [ChainFlow, WaitFlow], services, settings=FAST, clock=clock) as opened:
        await looked(opened)
        yield opened


async def open_breaker(engine: Engine, version: int, state: str) -> None:
    at = engine.store.now() - 6 * MINUTE
    await engine.store.put_breaker(BreakerRow("bank", version, state, "1", at, at, at, "away"))  # type: ignore[arg-type]


async def test_what_begins_and_what_is_over_is_told_once_signed_and_under_one_id(engine: Engine, hook: Hook) -> None:
    look = engine.process.alerter.round
    assert hook.took == []
    await open_breaker(engine, 1, "open")
    for _ in range(3):
        await look()
    assert hook.took == [("firing", "breaker_open", "bank")]
    await open_breaker(engine, 2, "closed")
    for _ in range(2):
        await look()
    assert hook.took == [("firing", "breaker_open", "bank"), ("resolved", "breaker_open", "bank")]
    begun, over = (json.loads(r.content) for r in hook.requests)
    assert begun["id"] == over["id"]
    assert (begun["severity"], begun["fleet"], begun["since"]) == ("warning", "shop", over["since"])
    assert "bank" in begun["summary"]
    for request in hook.requests:
        wanted = "sha256=" + hmac.new(b"s3cret", request.content, hashlib.sha256).hexdigest()
        assert request.headers[SIGNATURE] == wanted
    assert hook.requests[0].headers["Idempotency-Key"] == f"{begun['id']}/firing"


async def test_instances_that_fail_are_told_with_their_code(engine: Engine, hook: Hook) -> None:
    for _ in range(10):
        job = await engine.start(ChainFlow, Job(note="explode"))
        assert (await job.wait(10)).status == "failed"
    await engine.process.alerter.round()
    assert hook.took[0] == ("firing", "failing", "ChainFlow")
    assert [t[:2] for t in hook.took[1:]] == [("firing", "new_failure")]
    assert hook.took[1][2].startswith("ChainFlow/")


async def test_what_is_not_taken_is_sent_again_in_order_and_no_log_tells_where_to(
    engine: Engine, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    look = engine.process.alerter.round
    hook.status = 500
    await open_breaker(engine, 1, "open")
    with caplog.at_level(logging.WARNING):
        await look()
        await open_breaker(engine, 2, "closed")
        await look()
    assert hook.took == []
    assert "does not take notices" in caplog.text
    assert "t0ken" not in caplog.text
    hook.status = 200
    await look()
    assert [t[0] for t in hook.took] == ["firing", "resolved"]
    await look()
    assert len(hook.took) == 2


async def test_the_oldest_worker_with_receivers_tells_and_another_takes_over_when_it_has_gone(url: str) -> None:
    hooks = [Hook(), Hook()]
    clock = VirtualClock()

    def worker(hook: Hook | None) -> Engine:
        services: dict[Any, Any] = {World: World(), **({Alerts: hook.alerts()} if hook else {})}
        return Engine(url, [WaitFlow], services, settings=FAST, clock=clock)

    async with worker(None), worker(hooks[1]) as second:
        await looked(second)
        clock.advance(0.01)
        async with worker(hooks[0]) as third:
            assert third.process.worker.id > second.process.worker.id
            await open_breaker(second, 1, "open")
            for each in (second, third):
                await each.process.alerter.round()
            assert (len(hooks[1].took), len(hooks[0].took)) == (1, 0), "who has no receivers leads nobody"
            await second.process.worker.store.remove_worker(second.process.worker.id)
            await third.process.alerter.round()
            assert hooks[0].took == [("firing", "breaker_open", "bank")], "told anew by who takes over"


async def test_people_are_told_by_mail_whatever_the_webhook_does(url: str, hook: Hook) -> None:
    hook.status = 500
    post = Post({"DATA": "354 go on", "QUIT": "221 bye"})
    server = await asyncio.start_server(post.serve, "127.0.0.1", 0)
    mail = Mail("127.0.0.1", "Shop <alerts@shop.example>", server.sockets[0].getsockname()[1], tls="none")
    services = {World: World(), Alerts: hook.alerts(mail=mail, to=["ann@shop.example", "bob@shop.example"], fleet="shop")}
    async with Engine(url, [WaitFlow], services, settings=FAST, clock=VirtualClock()) as engine:
        await looked(engine)
        await open_breaker(engine, 1, "open")
        await engine.process.alerter.round()
        (letter,) = post.letters
        assert "Subject: [shop] warning: breaker_open bank" in letter
        assert "To: ann@shop.example, bob@shop.example" in letter
        assert "has let nothing through for 6 minutes" in letter
    server.close()
    await server.wait_closed()


async def test_a_worker_is_listed_with_what_it_serves_alone(engine: Engine) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=engine.asgi()), base_url="http://localhost") as client:
        (found,) = (await client.get("/api/v1/workers")).json()["items"]
        assert sorted(found["serves"]) == ["ChainFlow@1", "WaitFlow@1"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"webhook": "alerts.example.com"},
        {"webhook": "ftp://x"},
        {"mail": Mail("x", "a@b.c")},
        {"to": ["a@b.c"], "webhook": HOOK},
        {"mail": Mail("x", "a@b.c"), "to": "a@b.c"},
        {"webhook": HOOK, "every": 0},
        {"webhook": HOOK, "every": float("nan")},
    ],
)
def test_receivers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        Alerts(**wrong)
    assert "t0ken" not in repr(Alerts(webhook=HOOK))


async def test_a_service_of_another_type_is_refused() -> None:
    with pytest.raises(BadRequest, match="Alerts"):
        await Engine("memory://", [WaitFlow], {Alerts: "ops@shop.example", World: World()}).open()

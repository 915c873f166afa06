"""A server that is away, slow, or asks for patience: what is safe is asked again, and nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from stepkeel.client import Client
from stepkeel.errors import BadRequest, NotAuthenticated, StepkeelError, TooManyRequests, Unavailable
from tests.flows import WaitFlow

STARTED = {"id": "i-1", "created": True}


class Server:
    """Answers each request by the next of `answers`: a status, or an error of the transport."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body, headers = answer
        return httpx2.Response(status, json=body, headers=headers)


def client(server: Server, patience: float = 5.0, **options: Any) -> Client:
    return Client("http://server", "secret-key", patience=patience, transport=httpx2.MockTransport(server), **options)


def problem(status: int, code: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    body = {"type": f"urn:stepkeel:{code}", "title": "t", "status": status, "code": code, "detail": "it is so", "remedy": "do"}
    return status, body, {k.replace("_", "-"): v for k, v in headers.items()}


AWAY: list[Any] = [httpx2.ReadError("gone"), httpx2.ReadTimeout("slow"), problem(503, "unavailable"), (502, {}, {})]


@pytest.mark.parametrize("answer", [*AWAY, httpx2.ConnectError("refused")])
async def test_what_reads_and_what_has_a_key_is_asked_again(answer: Any) -> None:
    server = Server(answer, (201, STARTED, {}), answer, (200, {"items": []}, {}))
    async with client(server) as stepkeel:
        made = await stepkeel.start(WaitFlow, {"name": "x"}, key="k")
        assert (made.id, made.created) == ("i-1", True)
        assert await stepkeel.metrics() == []
    bodies = [json.loads(r.content) for r in server.requests[:2]]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("answer", AWAY)
async def test_a_start_without_a_key_is_not_sent_twice(answer: Any) -> None:
    server = Server(answer)
    async with client(server) as stepkeel:
        with pytest.raises(Unavailable):
            await stepkeel.start(WaitFlow, {"name": "x"})
    assert len(server.requests) == 1


async def test_a_connection_that_was_never_made_sent_nothing() -> None:
    server = Server(httpx2.ConnectError("refused"), (201, STARTED, {}))
    async with client(server) as stepkeel:
        assert (await stepkeel.start(WaitFlow, {"name": "x"})).created


async def test_a_signal_has_a_key_of_its_own_that_stays_the_same() -> None:
    told = {"instance_id": "i-1", "name": "Go", "key": "k", "status": "pending", "reason": "", "seq": 1, "duplicate": False}
    server = Server(httpx2.ReadError("gone"), (202, told, {}))
    async with client(server) as stepkeel:
        await stepkeel.signal("i-1", "Go")
    keys = [json.loads(r.content)["key"] for r in server.requests]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 32


async def test_what_operators_ask_has_one_too() -> None:
    told = {"instance_id": "i-1", "name": "pause", "key": "k", "status": "processed", "reason": "", "seq": 0, "duplicate": True}
    server = Server(httpx2.ReadError("gone"), (200, told, {}), (200, told, {}))
    async with client(server) as stepkeel:
        assert (await stepkeel.pause("i-1")).duplicate
        await stepkeel.pause("i-1", key="mine")
    keys = [r.headers["Idempotency-Key"] for r in server.requests]
    assert keys[0] == keys[1] != keys[2] == "mine"


async def test_who_is_told_to_wait_waits_within_their_patience() -> None:
    server = Server(problem(429, "too_many_requests", Retry_After="0"), (200, {"items": []}, {}))
    async with client(server) as stepkeel:
        assert await stepkeel.breakers() == []
    server = Server(problem(429, "too_many_requests", Retry_After="60"))
    async with client(server) as stepkeel:
        with pytest.raises(TooManyRequests) as raised:
            await stepkeel.breakers()
        assert raised.value.details == {"retry_after": 60}


async def test_patience_ends() -> None:
    def away(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    async with Client("http://server", patience=0.1, transport=httpx2.MockTransport(away)) as stepkeel:
        with pytest.raises(Unavailable, match="http://server: refused"):
            await stepkeel.metrics()


def _html(status: int) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda request: httpx2.Response(status, html="<h1>hello</h1>")


@pytest.mark.parametrize(("status", "kind"), [(200, Unavailable), (404, BadRequest), (500, Unavailable), (302, Unavailable)])
async def test_what_is_no_server_of_ours_is_told(status: int, kind: type[StepkeelError]) -> None:
    async with Client("http://server", patience=0.1, transport=httpx2.MockTransport(_html(status))) as stepkeel:
        with pytest.raises(kind, match="server"):
            await stepkeel.metrics()


async def test_the_key_goes_to_the_server_and_into_no_message() -> None:
    server = Server(problem(401, "not_authenticated"))
    async with client(server, tenant="acme") as stepkeel:
        with pytest.raises(NotAuthenticated) as raised:
            await stepkeel.metrics()
    headers = server.requests[0].headers
    assert (headers["Authorization"], headers["X-Tenant"]) == ("Bearer secret-key", "acme")
    assert "secret-key" not in str(raised.value) + repr(stepkeel)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "server",
        "ftp://server",
        "http://",
        "https://ann:secret@server",
        "http://server?key=x",
        "http://server:9x",
        "http://[::1",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as raised:
        Client(url)
    assert "secret" not in str(raised.value)

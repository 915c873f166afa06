"""How often an identity may write: all of its allowance at once, then evenly; nobody pays for others, or for being refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from stepkeel import Engine
from stepkeel.access import Access
from stepkeel.api.limit import KEPT, MINUTE, Limiter
from stepkeel.errors import BadRequest
from stepkeel.testing import VirtualClock
from tests.api.place import Desk, Place, calling


def test_the_allowance_is_there_at_once_and_comes_back_evenly() -> None:
    limiter = Limiter(100)
    assert [limiter.wait("a", 0) for _ in range(100)] == [0] * 100
    assert limiter.wait("a", 0) == 600_000
    assert limiter.wait("b", 0) == 0, "another one's"
    assert limiter.wait("a", 599_999) == 1
    assert limiter.wait("a", 600_000) == 0
    assert limiter.wait("a", 600_000) == 600_000
    assert [limiter.wait("a", 2 * MINUTE) for _ in range(101)] == [0] * 100 + [600_000], "no more than all is saved up"


def test_steady_traffic_below_the_rate_is_never_refused_also_after_it_was() -> None:
    limiter = Limiter(60)
    assert [limiter.wait("a", 0) for _ in range(1_000)].count(0) == 60
    assert all(limiter.wait("a", n * 1_000_000) == 0 for n in range(1, 3_000))


@given(lists(integers(0, 5_000_000), max_size=300), integers(1, 50))
def test_in_no_minute_more_pass_than_twice_the_allowance_and_whoever_waits_as_told_passes(steps: list[int], rate: int) -> None:
    limiter, now, passed = Limiter(rate), 0, list[int]()
    for step in steps:
        now += step
        wait = limiter.wait("a", now)
        if wait:
            now += wait
            assert limiter.wait("a", now) == 0
        passed.append(now)
    for at in passed:
        assert sum(at <= p < at + MINUTE for p in passed) <= 2 * rate + 1


def test_what_is_kept_of_many_identities_is_bounded() -> None:
    limiter = Limiter(10)
    for n in range(3 * KEPT):
        assert limiter.wait(f"n{n}", n * MINUTE) == 0
    assert len(limiter._full) <= KEPT


async def test_a_write_too_many_is_told_when_to_come_again_and_reads_are_not_counted() -> None:
    clock = VirtualClock()
    async with Engine("memory://", [Desk], clock=clock) as engine, calling(engine, Access()) as client:
        secrets = {r: (await engine.keys.create(r, roles=["admin"])).secret for r in ("a", "b")}
        place = Place(client, engine, secrets)
        body = {"definition": "Desk", "data": {"name": "x"}}
        found = [(await place.ask("a", "POST", "/instances", body)).status_code for _ in range(101)]
        assert found == [201] * 100 + [429]
        answer = await place.ask("a", "POST", "/instances", body)
        assert (answer.json()["code"], answer.headers["Retry-After"]) == ("too_many_requests", "1")
        assert (await place.ask("a", "GET", "/instances")).status_code == 200
        assert (await place.ask("b", "POST", "/instances", body)).status_code == 201
        clock.advance(0.6)
        assert (await place.ask("a", "POST", "/instances", body)).status_code == 201
        assert len((await engine.list(limit=1_000)).items) == 102


@pytest.mark.parametrize("wrong", [0, -1, 10**9])
def test_a_limit_that_is_none_is_refused(wrong: int) -> None:
    with pytest.raises(BadRequest, match="writes_per_minute"):
        Engine("memory://").asgi(access=Access(), writes_per_minute=wrong)

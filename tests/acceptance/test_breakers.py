"""Circuit breakers on every store: what keeps failing is not called, nothing waits for ever, and no attempt is burnt meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepkeel import Breaker, Context, Engine, Fail, Pipeline, Retry, State, Workflow, activity
from stepkeel.errors import BadRequest
from stepkeel.kernel.breaker import after, tried, waits
from stepkeel.model.breaker import BreakerRow
from stepkeel.store.port import Store
from stepkeel.testing import Harness
from tests.flows import FAST, Job

CARDS = Breaker(threshold=3, sample=5, open=1.0, service="cards")


class Bank:
    def __init__(self) -> None:
        self.away = True
        self.calls = 0

    async def pay(self) -> None:
        self.calls += 1
        if self.away:
            raise ConnectionError("refused")


@activity(retry=Retry(attempts=2, delay=0.02), breaker=CARDS)
async def pay(ctx: Context[Job], bank: Bank) -> None:
    await bank.pay()
    ctx.data.log.append(f"paid at attempt {ctx.attempt}")


@activity
async def on_paper(ctx: Context[Job]) -> None:
    ctx.data.log.append("on paper")


@activity(
    breaker=Breaker(threshold=1, sample=1, open=60, service="quick", when_open="fail"), fallback=on_paper, retry=Retry(attempts=1)
)
async def pay_or_not(ctx: Context[Job], bank: Bank) -> None:
    await bank.pay()


class Paying(Workflow[Job]):
    paying = State(pay)
    paid = State.completed()
    paying.to(paid)


class Degraded(Workflow[Job]):
    paying = State(pay_or_not)
    paid = State.completed()
    paying.to(paid)


async def state_of(engine: Engine, name: str = "cards") -> BreakerRow:
    rows = await engine.store.breakers([name])
    return rows[0] if rows else BreakerRow(name)


async def until(engine: Engine, state: str) -> None:
    async with asyncio.timeout(10):
        while (await state_of(engine)).state != state:
            await asyncio.sleep(0.01)


async def test_an_open_breaker_lets_nothing_through_and_when_it_closes_all_that_was_parked_finishes(url: str) -> None:
    bank = Bank()
    async with Engine(url, [Paying], {Bank: bank}, settings=FAST) as engine:
        first = await engine.start(Paying, Job())
        assert (await first.wait(10)).status == "failed", "two attempts, both refused"
        second = await engine.start(Paying, Job())
        await until(engine, "open")
        assert bank.calls == 3
        others = await engine.start_many(Paying, [Job(str(n)) for n in range(20)])
        async with asyncio.timeout(10):
            for each in others:
                while "deferred" not in (await each.get()).open.values():
                    await asyncio.sleep(0.005)
        assert "cards is not called now" in str(await others[0].explain())
        tries = bank.calls - 3
        assert tries <= 1, "one tries, if its time is over already"
        calls, bank.away = bank.calls, False
        results = [await i.wait(20) for i in (*others, second)]
        assert {r.status for r in results} == {"completed"}
        assert {log for r in results[:-1] for log in r.data.log} <= {"paid at attempt 1", "paid at attempt 2"}
        assert sum("attempt 2" in log for r in results[:-1] for log in r.data.log) == tries, "waiting burns no attempt"
        assert (await state_of(engine)).state == "closed"
        assert bank.calls == calls + 21


async def test_what_one_process_has_opened_is_open_for_another(url: str) -> None:
    bank, other = Bank(), Bank()
    other.away = False
    slow = Breaker(threshold=3, sample=5, open=30.0, service="cards")

    @activity(retry=Retry(attempts=3, delay=0.01), breaker=slow)
    async def pay_slowly(ctx: Context[Job], bank: Bank) -> None:
        await bank.pay()

    class Slow(Workflow[Job]):
        paying = State(pay_slowly)
        paid = State.completed()
        paying.to(paid)

    async with Engine(url, [Slow], {Bank: bank}, settings=FAST) as one:
        await (await one.start(Slow, Job())).wait(10)
        await until(one, "open")
        async with Engine(url, [Slow], {Bank: other}, settings=FAST) as two:
            await asyncio.sleep(FAST.poll_max * 2)
            waiting = await two.start(Slow, Job())
            async with asyncio.timeout(10):
                while "deferred" not in (await waiting.get()).open.values():
                    await asyncio.sleep(0.01)
            assert other.calls == 0
            await waiting.terminate()


async def test_where_it_fails_at_once_the_fallback_says_what_then(harness: Harness) -> None:
    bank = harness.services[Bank] = Bank()
    first = await harness.start(Degraded, Job())
    second = await harness.start(Degraded, Job())
    assert (first.value.log, second.value.log) == (["on paper"], ["on paper"])
    assert bank.calls == 1
    events = [e for entry in await second.history() for e in entry.events if e.type == "activity_fell_back"]
    assert events[0].detail["code"] == "circuit_open"


async def test_a_business_failure_is_an_answer(harness: Harness) -> None:
    def refuse(job: Job) -> Fail:
        return Fail("NO_FUNDS")

    pipeline = Pipeline("refused", Job).start_with(activity(name="refuse", breaker=Breaker(1, 1))(refuse))
    for _ in range(3):
        job = await harness.start(pipeline, Job())
        assert (await job.get()).failure.code == "NO_FUNDS"  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    engine = await harness.engine()
    assert await engine.store.breakers() == []


# -- the rules


def told(row: BreakerRow, outcomes: str, policy: Breaker = CARDS, now: int = 0, **more: Any) -> BreakerRow:
    for outcome in outcomes:
        row = after(row, policy, now, failed=outcome == "x", trial=more.get("trial", False), reason="away")
    return row


def test_it_opens_at_so_many_of_the_last_ones() -> None:
    row = BreakerRow("cards")
    assert told(row, "......") is row, "a healthy service changes nothing"
    assert told(row, "x.x.").state == "closed"
    assert told(row, "x.x.x").state == "open"
    assert told(row, "x....x.x").state == "closed", "the first is forgotten"
    opened = told(row, "xxx", now=100)
    assert (opened.state, opened.until, opened.opened_at, opened.reason) == ("open", 1_000_100, 100, "away")
    assert told(opened, "x.x.") is opened, "attempts that began before tell nothing"


def test_one_tries_when_its_time_is_over_and_the_others_wait() -> None:
    opened = told(BreakerRow("cards"), "xxx")
    assert waits(opened, 100_000) == 900_000
    assert waits(opened, 1_000_000) is None
    trial = tried(opened, CARDS, 1_000_000)
    assert waits(trial, 1_000_001) == 999_999
    assert told(trial, ".", now=1_500_000) is trial, "not the one that tries"
    closed = told(trial, ".", now=1_500_000, trial=True)
    assert (closed.state, closed.recent, waits(closed, 1_500_000)) == ("closed", "", 0)
    again = told(trial, "x", now=1_500_000, trial=True)
    assert (again.state, again.until) == ("open", 2_500_000)
    assert waits(trial, 2_000_000) is None, "nothing was heard of it: the next one tries"
    assert [r.version for r in (opened, trial, closed, again)] == [3, 4, 5, 5]


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 6, "sample": 5}, {"open": 0}, {"when_open": "wait"}])
def test_what_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        Breaker(**options)
    with pytest.raises(BadRequest):
        activity(breaker="cards")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType,reportCallIssue]


async def contend(store: Store) -> None:
    first = BreakerRow("a", 1, "closed", "1")
    assert await store.put_breaker(first)
    assert not await store.put_breaker(BreakerRow("a", 1, "open"))
    assert not await store.put_breaker(BreakerRow("a", 3, "open"))
    assert not await store.put_breaker(BreakerRow("b", 2, "open"))
    assert await store.put_breaker(BreakerRow("a", 2, "open", "11", 5, 4, 3, "why"))
    assert list(await store.breakers(["a", "b"])) == [BreakerRow("a", 2, "open", "11", 5, 4, 3, "why")]
    assert list(await store.breakers()) == list(await store.breakers(["a"]))
    assert list(await store.breakers(["b"])) == []


async def test_who_writes_has_read_what_is_there(url: str) -> None:
    async with Engine(url, [Paying], {Bank: Bank()}, settings=FAST) as engine:
        await contend(engine.store)

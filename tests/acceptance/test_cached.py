"""Results that are kept, on every store: an activity with `cache` runs once for an input, and what it returned is everybody's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from stepkeel import Context, Engine, Fail, Retry, State, Workflow, activity, for_each, graph, step
from stepkeel.errors import BadRequest, DefinitionError, Unavailable
from stepkeel.store.port import Store
from stepkeel.testing import Harness


@dataclass
class Basket:
    sku: str = "pen"
    skus: list[str] = field(default_factory=list[str])
    price: int = 0
    prices: list[int] = field(default_factory=list[int])


class Shop:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = False


@activity(cache=timedelta(hours=1), retry=Retry(attempts=1))
async def ask_price(ctx: Context[Basket, str], shop: Shop) -> int:
    shop.asked.append(ctx.input)
    if shop.closed:
        raise Fail("CLOSED")
    return len(ctx.input)


@activity(cache=60, batch=True)
async def ask_prices(ctx: Context[Basket, list[str]], shop: Shop) -> list[int]:
    shop.asked.append("+".join(ctx.input))
    return [len(sku) for sku in ctx.input]


class Pricing(Workflow[Basket]):
    asking = State[Basket](step("price", ask_price, lambda run: run.input.sku, into="price"))
    asked = State.completed()
    asking.to(asked)


class Listing(Workflow[Basket]):
    asking = State[Basket](
        graph(
            step("first", ask_price, lambda run: run.input.sku),
            step("again", ask_price, lambda run: run.input.sku, needs=["first"]),
        ),
        for_each(lambda basket: basket.skus, ask_prices, into="prices"),
    )
    asked = State.completed()
    asking.to(asked)


async def priced(engine: Engine, flow: Any, basket: Basket) -> Any:
    result = await (await engine.start(flow, basket)).wait(20)
    return result.data if result.status == "completed" else result.failure


async def test_it_runs_once_for_an_input_in_whatever_instance_workflow_and_engine(url: str) -> None:
    shop = Shop()
    for _ in range(2):
        async with Engine(url, [Pricing, Listing], services={Shop: shop}) as engine:
            assert (await priced(engine, Pricing, Basket("pen"))).price == 3
            assert (await priced(engine, Pricing, Basket("book"))).price == 4
            await priced(engine, Listing, Basket("pen"))
    assert shop.asked == ["pen", "book"]


async def test_the_history_says_that_it_did_not_run(url: str) -> None:
    async with Engine(url, [Pricing], services={Shop: Shop()}) as engine:
        told: list[list[Any]] = []
        for _ in range(2):
            job = await engine.start(Pricing, Basket("pen"))
            await job.wait(20)
            told.append([e.detail for h in await job.history() for e in h.events if e.type == "activity_completed"])
    assert told == [[{}], [{"cached": True}]]


async def test_every_tenant_has_its_own_and_what_is_forgotten_runs_again(url: str) -> None:
    shop = Shop()
    async with Engine(url, [Pricing], services={Shop: shop}) as engine:
        await priced(engine, Pricing, Basket("pen"))
        async with Engine(url, [Pricing], services={Shop: shop}, tenant="other") as other:
            await priced(other, Pricing, Basket("pen"))
            assert await other.forget_cached("something") == 0
        assert len(shop.asked) == 2
        assert await engine.forget_cached("ask_price") == 1
        await priced(engine, Pricing, Basket("pen"))
        assert len(shop.asked) == 3


async def test_only_results_are_kept_no_failures(url: str) -> None:
    shop = Shop()
    shop.closed = True
    async with Engine(url, [Pricing], services={Shop: shop}) as engine:
        assert (await priced(engine, Pricing, Basket("pen"))).code == "CLOSED"
        shop.closed = False
        assert (await priced(engine, Pricing, Basket("pen"))).price == 3
    assert shop.asked == ["pen", "pen"]


async def test_items_are_looked_up_one_by_one_and_only_those_that_are_missing_are_called(url: str) -> None:
    shop = Shop()
    async with Engine(url, [Listing], services={Shop: shop}) as engine:
        assert (await priced(engine, Listing, Basket("pen", ["a", "bb"]))).prices == [1, 2]
        assert (await priced(engine, Listing, Basket("pen", ["bb", "ccc", "dddd"]))).prices == [2, 3, 4]
    assert sorted("+".join(shop.asked).split("+")) == ["a", "bb", "ccc", "dddd", "pen"], "each once, several in one call or not"


async def test_what_is_kept_is_over_when_its_time_is() -> None:
    shop = Shop()
    harness = Harness(services={Shop: shop})
    for hours, asked in ((0, 1), (0.9, 1), (0.2, 2)):
        await harness.advance(timedelta(hours=hours))
        await harness.start(Pricing, Basket("pen"))
        await harness.settle()
        assert len(shop.asked) == asked
    await harness.close()


async def test_a_store_that_does_not_answer_is_no_reason_not_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    harness = Harness(services={Shop: shop})

    async def away(*_: Any) -> Any:
        raise Unavailable("the database does not answer")

    engine = await harness.engine()
    monkeypatch.setattr(engine.store, "cached", away)
    monkeypatch.setattr(engine.store, "put_cached", away)
    job = await harness.start(Pricing, Basket("pen"))
    await harness.settle()
    assert (await job.get()).status == "completed"
    await harness.close()


@activity(cache=60)
async def notes(ctx: Context[Basket, str]) -> int:
    ctx.data.price = 7
    return 7


async def test_one_that_changes_the_data_fails_and_says_so(harness: Harness) -> None:
    class Noting(Workflow[Basket]):
        begin = State[Basket](step("price", notes, lambda run: run.input.sku, into="price"))
        end = State.completed()
        begin.to(end)

    job = await harness.start(Noting, Basket())
    await harness.settle()
    failure = (await job.get()).failure
    assert failure is not None
    assert (failure.code, "notes is cached and has changed the data" in failure.message) == ("bad_result", True)


@activity
async def unask(ctx: Context[Basket]) -> None: ...


def test_what_makes_no_sense_is_refused_or_warned_of() -> None:
    for wrong in (
        lambda: activity(cache=0),
        lambda: activity(cache=60, transactional=True),
        lambda: activity(cache=60, compensate=unask),
    ):
        with pytest.raises(BadRequest, match="cache="):
            wrong()
    with pytest.raises(DefinitionError, match="cannot be undone"):

        class Undoing(Workflow[Basket]):
            begin = State[Basket](step("price", ask_price, lambda run: run.input.sku, into="price", compensate=unask))

    class Plain(Workflow[Basket]):
        begin = State[Basket](for_each(lambda basket: basket.skus, ask_price))
        end = State.completed()
        begin.to(end)

    assert [p.code for p in Plain.definition.problems] == ["never_cached"]


async def test_the_store_keeps_one_result_for_a_key_and_drops_those_whose_time_is_over(url: str) -> None:
    from stepkeel.model.cached import CachedRow

    async with Engine(url, []) as engine:
        store: Store = engine.store
        now = store.now()
        await store.put_cached(CachedRow("t", "a", "k", b"1", now + 60_000_000))
        await store.put_cached(CachedRow("t", "a", "k", b"2", now + 60_000_000))
        await store.put_cached(CachedRow("t", "b", "k", b"3", now - 1))
        assert [await store.cached("t", a, "k") for a in ("a", "b", "c")] == [b"2", None, None]
        await store.put_cached(CachedRow("t", "c", "k", b"4", now + 60_000_000))
        assert await store.forget_cached("t", "") == 2, "what was over has gone before"
        assert await store.cached("t", "a", "k") is None

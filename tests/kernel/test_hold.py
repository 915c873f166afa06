"""hold in conversations: an input, its effects and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from stepkeel import Context, Limit, Signal, State, Workflow, activity, for_each, hold, parallel, wait
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model import input as inputs
from stepkeel.model.effect import AskPool, ReturnPool, RunAttempt
from stepkeel.testing import Scenario


@dataclass
class Job:
    name: str = "a"
    gb: int = 2


class Go(Signal): ...


@activity
async def act(ctx: Context[Job]) -> None: ...


@activity
async def other(ctx: Context[Job]) -> None: ...


ONE = Limit(1, name="printer")


def build(*body: Any, **ways: Any) -> type[Workflow[Job]]:
    class Flow(Workflow[Job]):
        work = State[Job](*body)
        done = State.completed()
        work.to(done)

    return Flow


def asked(s: Scenario[Any]) -> list[AskPool]:
    return [e for e in s.last.effects if isinstance(e, AskPool)]


def returned(s: Scenario[Any]) -> list[str]:
    return [e.pool for e in s.last.effects if isinstance(e, ReturnPool)]


def grant(s: Scenario[Any], pool: str, path: str = "work/hold") -> None:
    n = next(t.n for t in s.snapshot.tickets[path].values() if t.pool == pool)
    s.feed(inputs.HoldGranted(path, pool, n))


def begun(s: Scenario[Any]) -> list[str]:
    return [e.path for e in s.last.effects if isinstance(e, RunAttempt)]


def test_a_body_begins_with_its_slot_and_gives_it_back_in_the_commit_that_ends_it() -> None:
    s = Scenario(build(hold(ONE, act), other), Job())
    assert [(a.path, a.pool, a.size, a.amount) for a in asked(s)] == [("work/hold", "printer", 1, 1)]
    assert (s.snapshot.status, begun(s)) == ("waiting", [])
    grant(s, "printer")
    assert begun(s) == ["work/hold/act"]
    s.done("work/hold/act")
    assert returned(s) == ["printer"]
    assert begun(s) == ["work/other"]
    assert s.snapshot.tickets == {}


def test_several_pools_are_taken_in_the_order_of_their_names_with_their_amounts() -> None:
    limits = [Limit(8, name="memory"), Limit(2, name="cpu")]
    s = Scenario(build(hold(limits, act, amount={"memory": lambda j: j.gb})), Job(gb=5))
    assert [(a.pool, a.amount) for a in asked(s)] == [("cpu", 1)]
    grant(s, "cpu")
    assert [(a.pool, a.amount) for a in asked(s)] == [("memory", 5)]
    grant(s, "memory")
    assert begun(s) == ["work/hold/act"]
    s.done("work/hold/act")
    assert sorted(returned(s)) == ["cpu", "memory"]


@pytest.mark.parametrize(
    ("scope", "pool"),
    [
        ("fleet", "printer"),
        ("tenant", "tenant/{0.tenant}/printer"),
        ("definition", "definition/Flow/printer"),
        ("instance", "instance/{0.id}/printer"),
    ],
)
def test_a_scope_has_slots_of_its_own(scope: Any, pool: str) -> None:
    s = Scenario(build(hold(ONE, act, scope=scope)), Job())
    assert [a.pool for a in asked(s)] == [pool.format(s.snapshot)]


def test_each_value_of_a_key_has_slots_of_its_own_and_none_is_no_limit() -> None:
    def keyed(job: Job) -> str | None:
        return job.name or None

    limit = Limit(1, key=keyed, name="customer")
    s = Scenario(build(hold(limit, act)), Job("ann"))
    assert [a.pool for a in asked(s)] == ["customer:ann"]
    s = Scenario(build(hold(limit, act)), Job(""))
    assert (asked(s), begun(s)) == ([], ["work/hold/act"])


def test_the_key_may_be_an_expression_over_the_item() -> None:
    s = Scenario(build(for_each(lambda j: ["x", "y"], hold(Limit(1, key="item", name="sku"), act), name="lines")), Job())
    assert [a.pool for a in asked(s)] == ["sku:x", "sku:y"]


def test_an_amount_that_makes_no_sense_fails_the_node_and_asks_for_nothing() -> None:
    s = Scenario(build(hold(Limit(3, name="gpu"), act, amount=lambda j: j.gb)), Job(gb=4))
    failure = s.snapshot.failure
    assert failure is not None
    assert (failure.code, failure.message) == ("pure_failed", "4 slots of gpu are asked for, which has 3")
    assert (asked(s), s.snapshot.tickets) == ([], {})


def test_one_that_waits_too_long_fails_and_leaves_the_queue() -> None:
    s = Scenario(build(hold(ONE, act, timeout=timedelta(seconds=5))), Job())
    s.feed(inputs.Tick(), after=5_000_000)
    failure = s.snapshot.failure
    assert failure is not None
    assert (failure.code, failure.path) == ("hold_timeout", "work/hold")
    assert returned(s) == ["printer"]
    s = Scenario(build(hold(ONE, act, timeout=timedelta(seconds=5))), Job())
    grant(s, "printer")
    assert s.snapshot.timers == {}, "granted in time: no timer is left"


def test_a_hold_that_is_closed_otherwise_gives_its_slots_back() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](hold(ONE, wait(Go)))
        done = State.completed()
        stopped = State.completed()
        work.to(done)
        work.after(timedelta(seconds=3), to=stopped, interrupt=True)

    s = Scenario(Flow, Job())
    grant(s, "printer")
    assert s.snapshot.status == "waiting"
    s.feed(inputs.Tick(), after=3_000_000)
    assert (s.snapshot.state, returned(s)) == ("stopped", ["printer"])


def test_a_takeover_goes_on_holding_it() -> None:
    s = Scenario(build(hold(ONE, act)), Job())
    grant(s, "printer")
    s.feed(inputs.Claimed(None))
    assert (returned(s), begun(s)) == ([], ["work/hold/act"])
    assert [t.granted for t in s.snapshot.tickets["work/hold"].values()] == [True]


def test_redriven_it_asks_anew_and_nothing_in_it_begins_before() -> None:
    s = Scenario(build(hold(ONE, parallel(one=act, two=wait(Go)))), Job())
    grant(s, "printer")
    s.failed("work/hold/parallel:one/act", "X", kind="permanent")
    assert (s.snapshot.status, returned(s)) == ("failed", ["printer"])
    s.feed(inputs.Redrive(actor="ann"))
    assert ([a.pool for a in asked(s)], begun(s)) == (["printer"], [])
    grant(s, "printer")
    assert begun(s) == ["work/hold/parallel:one/act"]


def test_pools_that_are_held_within_each_other_in_two_orders_are_warned_of() -> None:
    a, b = Limit(1, name="a"), Limit(1, name="b")
    flow = build(hold(a, hold(b, act)), hold(b, hold(a, act), name="second"))
    assert [p.code for p in flow.definition.problems] == ["hold_order"]
    assert build(hold(a, hold(b, act)), hold([b, a], act, name="second")).definition.problems == ()


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (
        lambda: hold(ONE),
        lambda: hold([], act),
        lambda: hold(Limit(1), act),
        lambda: hold(ONE, act, amount=2),
        lambda: hold(ONE, act, amount=None),  # type: ignore[arg-type]
        lambda: hold(ONE, act, amount={"other": 1}),
        lambda: hold(ONE, act, scope="world"),  # type: ignore[arg-type]
        lambda: hold(ONE, act, timeout=0),
        lambda: hold([ONE, ONE], act),
        lambda: hold(Limit(1, key="data.name +", name="x"), act),
    ):
        with pytest.raises(BadRequest):
            wrong()
    with pytest.raises(DefinitionError, match="undeclared"):
        build(hold(ONE, act, amount="gb"))

"""Documents of state machines: what they run is what their Python twin runs; everything wrong is told at once with its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml

from stepkeel import (
    Anywhere,
    Append,
    Calendar,
    Context,
    Fail,
    Limit,
    Retry,
    Signal,
    State,
    Workflow,
    activity,
    approval,
    at,
    child,
    choice,
    delay,
    during,
    emit,
    for_each,
    graph,
    hold,
    load,
    log,
    loop,
    machine,
    parallel,
    pick,
    scope,
    spawn,
    step,
    stop,
    tagged,
    task,
    transform,
    visits,
    wait,
    when,
)
from stepkeel.errors import DataInvalid, DefinitionError
from stepkeel.testing import Harness, HarnessInstance


@dataclass
class Order:
    order_id: str
    amount: int
    skus: list[str] = field(default_factory=list[str])
    notes: Annotated[list[str], Append] = field(default_factory=list[str])
    polls: int = 0
    approved_by: str | None = None
    price: str | None = None


class OrderApproved(Signal):
    by: str


class OrderRejected(Signal, keep=timedelta(days=7)):
    reason: str = ""


class Fixed(Signal):
    amount: int


@dataclass
class Correction:
    amount: int


@activity(name="stock.pick")
async def picked(ctx: Context[Any, str]) -> str:
    return ctx.input.upper()


@activity(name="price.ask")
async def ask(ctx: Context[Any, str]) -> str:
    return f"${ctx.input}"


@activity(name="price.forget")
async def forget(ctx: Context[Any, str]) -> None: ...


@activity(name="quiet")
async def quiet(ctx: Context[Any]) -> None: ...


@activity(name="shaky", optional=True)
async def shaky(ctx: Context[Any]) -> None:
    raise Fail("SHAKEN", "it always does")


ALL = [picked, ask, forget, quiet, shaky]
TYPES = [Order, OrderApproved, OrderRejected, Fixed, Correction]
DESK = Limit(2, key="data.order_id", name="desk")
OFFICE = Calendar("Europe/Berlin")
DOCUMENT = Path(__file__).with_name("order.yaml")


class Parcel(Workflow[Order]):
    packed = State(quiet)
    gone = State.completed()
    packed.to(gone)


class Talks(Workflow[Order]):
    going = State[Order]()
    over = State.completed()
    going.on(Fixed, to=over, into={"amount": "{{ signal.amount }}"})


class Twin(Workflow[Order], name="order", unhandled_signals="keep", limits=Limit(3, name="orders"), finally_=quiet):
    created = State(
        log("order {order_id}"),
        transform({"polls": "{{ data.polls + 1 }}"}, name="set"),
        for_each("data.skus", step("stock.pick", picked, "{{ item }}"), into="notes", max_concurrency=3, name="lines"),
        parallel(one=transform({"notes": "{{ data.notes + ['one'] }}"}), two=when("data.amount > 50", delay(5)), max_concurrency=4),
        loop(transform("{'polls': data.polls + 1}"), until="data.polls >= 4"),
        choice(when("data.amount > 1000", quiet, name="large"), otherwise=[quiet, shaky]),
        step("ask", ask, "{{ data.order_id }}", into="price", retry=Retry(4, delay=2.0), compensate=forget),
        graph(
            step("x", ask, {"of": "{{ data.order_id }}"}.get("of", "")),
            step("y", [step("z", ask, "{{ steps.x.output }}")], needs=["x"]),
            into={"price": "{{ steps.y.output }}"},
        ),
        scope(wait(Fixed), after={timedelta(seconds=3): quiet}, on_failure={"SHAKEN": []}),
        spawn(quiet),
        hold(
            [Limit(2, key="data.order_id", name="desk"), Limit(9, name="hands")], quiet, amount={"hands": "data.polls"}, timeout=60
        ),
        tagged("risky", parallel(ok=quiet, other=[stop("nothing")], name="pair")),
        child(Parcel),
    )
    awaiting = State[Order](label="Awaiting approval")
    second = State(
        approval("Release {order_id}", role="lead", due=timedelta(hours=4), calendar=OFFICE, not_by="{{ data.approved_by }}"),
        during(~at("nowhere") & (visits("second") < 3), quiet),
        task("Correct it", Correction, assignee="bo", into={"amount": "{{ result.amount }}"}, priority=0),
        pick({OrderApproved: quiet, timedelta(seconds=9): []}),
        machine(Talks),
    )
    confirmed = State.completed(emit(to="orders"))
    rejected = State.terminated(reason="rejected, or nobody approved in time")
    anywhere = Anywhere[Order]()

    created.to(awaiting, when="data.amount >= 100")
    created.to(confirmed)
    awaiting.on(OrderApproved, to=second, into={"approved_by": "{{ signal.by }}"}, when="signal.by != data.order_id")
    awaiting.on(OrderRejected, to=rejected, do=shaky)
    awaiting.after(timedelta(days=3), to=rejected, calendar=OFFICE)
    second.on_failure("rejected", to=rejected, into={"price": "{{ failure.code }}"}, undo="all")
    second.to(confirmed)
    anywhere.after(timedelta(days=30), end=Fail("TOO_LATE", "nobody cared"), interrupt=True)


async def through(harness: Harness, flow: Any) -> HarnessInstance[Any]:
    """The long way of an order."""
    order = await harness.start(flow, Order("O-1", 200, ["a", "b"]))
    await harness.advance(timedelta(seconds=9))
    await order.signal("OrderApproved", {"by": "ann"})
    await harness.settle()
    engine = await harness.engine()
    for n in range(2):
        (asked,) = (await engine.tasks()).items
        verb = engine.task(asked.id)
        await (verb.approve(actor="bo", wait=0) if n == 0 else verb.complete({"amount": 7}, actor="bo", wait=0))
        await harness.settle()
    await harness.advance(timedelta(seconds=10))
    await order.signal("Fixed", {"amount": 8})
    await harness.settle()
    return order


async def history_of(instance: HarnessInstance[Any]) -> list[Any]:
    return [(e.type, e.path) for h in await instance.history() for e in h.events]


async def test_a_document_and_its_python_twin_have_one_fingerprint_and_one_history(harness: Harness) -> None:
    written = load(DOCUMENT, ALL, types=TYPES, workflows=[Parcel])
    assert written.fingerprint == Twin.definition.fingerprint
    one = await through(harness, written)
    other = Harness()
    two = await through(other, Twin)
    assert (await one.get()).status == (await two.get()).status == "completed"
    assert one.value == two.value
    assert (one.value.notes, one.value.price, one.value.amount) == (["A", "B", "one"], "$$O-1", 8)
    assert await history_of(one) == await history_of(two)
    await other.close()


@pytest.mark.parametrize("made", [lambda: Twin.definition, lambda: load(DOCUMENT, ALL, types=TYPES, workflows=[Parcel])])
def test_what_is_dumped_loads_to_the_same_and_dumps_the_same(made: Any) -> None:
    definition = made()
    document = definition.document()
    again = load(document, ALL, types=TYPES, workflows=[Parcel])
    assert again.fingerprint == definition.fingerprint
    assert again.outline == definition.outline
    assert again.document() == document
    text = yaml.safe_dump(document, sort_keys=False)
    assert load(yaml.safe_load(text), ALL, types=TYPES, workflows=[Parcel]).fingerprint == definition.fingerprint


async def test_without_the_python_types_the_schemas_stand_for_them(harness: Harness) -> None:
    document = Twin.definition.document()
    for node in document["states"]["created"]["body"]:
        if isinstance(node, dict) and "child" in node:
            node["data"] = "{{ data }}"
    written = load(document, ALL, workflows=[Parcel])
    with pytest.raises(DataInvalid, match="amount"):
        await harness.start(written, {"order_id": "O-1", "amount": "many"})
    order = await harness.start(written, {"order_id": "O-1", "amount": 20})
    await harness.advance(timedelta(seconds=9))
    assert (await order.get()).status == "completed"
    assert order.value["notes"] == ["one"]


def test_what_is_only_python_is_told_with_its_place() -> None:
    class Lambdas(Workflow[Order]):
        begin = State(quiet, loop(quiet, until=lambda o: o.polls > 1), name="begin")
        end = State.completed()
        begin.to(end, when=lambda o: o.amount > 1)

    with pytest.raises(DefinitionError) as found:
        Lambdas.definition.document()
    assert [(p.code, p.place) for p in found.value.problems] == [("no_text", "begin/loop"), ("no_text", "begin->end")]
    assert "data.amount >= 100" in found.value.problems[0].remedy


WRONG = """
name: order
data: {properties: {amount: {type: integer}, name: {type: string}}, additionalProperties: false}
signals:
  Paid: {properties: {by: {type: string}}, additionalProperties: false}
states:
  open:
    body:
      - quite
      - {uses: stock.pick, wiht: 1}
      - {loop: [quiet], until: data.amuont > 1}
      - {set: {amuont: 1}}
      - {parallel: {a: [{delay: soon}]}, join: {rest: maybe}}
      - {for_each: data.amount +, body: quiet}
      - {wiat: Paid}
      - {child: parcel}
      - {task: Look, form: {type: nothing}}
    to: {state: closd, when: data.name}
    on:
      - {signal: Piad, to: closed}
      - {signal: Paid, to: closed, into: {name: "{{ signal.buy }}"}}
    after: [{span: 3 days, to: closed}]
    on_failure: [{errors: X}]
  closed: {end: complete}
"""


def test_everything_that_is_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "order.yaml"
    file.write_text(WRONG)
    with pytest.raises(DefinitionError) as found:
        load(file, ALL)
    lines = [str(p).removeprefix("order.yaml:") for p in found.value.problems]
    for line in (
        "9:9 states.open.body[0]: there is no activity quite [unknown_activity] -> did you mean quiet?",
        "10:28 states.open.body[1].wiht: a uses has no wiht [unknown_field] -> did you mean with?",
        "11:36 states.open.body[2].until: data has no field amuont [bad_expression] -> did you mean amount?",
        "12:16 states.open.body[3].set.amuont: the data have no field amuont [unknown_field] -> did you mean amount?",
        "13:26 states.open.body[4].parallel.a[0].delay: 'soon' is no span of time [bad_value] -> 5m, 2h, 3d, or {{ ... }}",
        "13:49 states.open.body[4].join.rest: 'maybe' [bad_value] -> known: cancel, undo, finish",
        "15:9 states.open.body[6]: a node of wiat [unknown_node] -> did you mean wait?",
        "16:10 states.open.body[7].child: there is no workflow parcel [unknown_workflow] -> load(..., workflows=[...])",
        "18:10 states.open.to.state: there is no state closd [bad_target] -> did you mean closed?",
        "20:10 states.open.on[0].signal: there is no signal Piad [unknown_signal] -> did you mean Paid?",
        "21:59 states.open.on[1].into.name: signal has no field buy [bad_expression] -> did you mean by?",
        "22:14 states.open.after[0].span: '3 days' is no span of time [bad_value] -> 30s, 10m, 2h, 3d, or {{ ... }}",
        "24:12 states.closed.end: 'complete' [bad_value] -> did you mean completed?",
    ):
        assert line in lines, "\n".join(lines)
    assert {line.split(":")[0] for line in lines} == {str(n) for n in (9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24)}


def test_what_the_builder_finds_has_the_line_of_its_node(tmp_path: Path) -> None:
    file = tmp_path / "order.yaml"
    file.write_text("""
name: order
states:
  open:
    body:
      - {delay: 1s, name: a/b}
      - machine:
          states:
            inner: {end: cancelled}
        name: talks
    to: done
  done: {end: completed, to: open}
finally: [{wait: Paid}]
signals: {Paid: {}}
""")
    with pytest.raises(DefinitionError) as found:
        load(file, ALL)
    told = [(p.code, p.place.split(" ")[0]) for p in found.value.problems]
    assert told == [("bad_value", "order.yaml:6:21")], [str(p) for p in found.value.problems]
    file.write_text(file.read_text().replace("a/b", "ab"))
    with pytest.raises(DefinitionError) as found:
        load(file, ALL)
    told = [(p.code, p.place.split(" ")[0]) for p in found.value.problems]
    assert ("bad_machine", "order.yaml:7:9") in told, told
    assert ("way_out_of_final", "order.yaml:12:3") in told
    assert ("bad_handler", "order.yaml:13:1") in told

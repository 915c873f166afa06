"""A trace for each instance: every attempt is a span of it, whoever runs it, and nothing of it is stored."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stepkeel import Client, Context, Engine, Fail, PermanentError, Retry, State, TransientError, Workflow, activity, child, emit
from stepkeel.cli.log import JsonLines
from stepkeel.connectors.http import Http, HttpRequest
from stepkeel.model.trace import trace_of, traceparent_of
from stepkeel.telemetry import NAMES, Tracing
from tests.flows import Job, WaitFlow

PROVIDER = TracerProvider()
SPANS = InMemorySpanExporter()
PROVIDER.add_span_processor(SimpleSpanProcessor(SPANS))
trace.set_tracer_provider(PROVIDER)
SEEN: dict[str, Any] = {}


@dataclass
class Parcel:
    note: str = ""


@activity(retry=Retry(attempts=2, delay=0))
async def weigh(ctx: Context[Parcel]) -> None:
    SEEN["weigh"] = trace.get_current_span().get_span_context().trace_id
    if ctx.attempt == 1:
        raise TransientError("password=hunter2")


@activity
def label(ctx: Context[Parcel]) -> Parcel:
    SEEN["label"] = trace.get_current_span().get_span_context().span_id
    return replace(ctx.data, note="labelled")


@activity
async def inspect(ctx: Context[Parcel]) -> None:
    raise Fail("too_heavy")


class Inner(Workflow[Parcel]):
    at_work = State(weigh)
    done = State.completed()
    at_work.to(done)


class Outer(Workflow[Parcel]):
    at_work = State(label, child(Inner, lambda p: Parcel()), emit(to="parcels"))
    checking = State(inspect)
    done = State.completed()
    lost = State.failed()
    at_work.to(checking)
    checking.to(done)
    checking.on_failure("too_heavy", to=lost)


@pytest.fixture(autouse=True)
def none_before() -> Iterator[None]:
    SPANS.clear()
    yield


def spans() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for span in SPANS.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


async def test_every_attempt_is_a_span_of_its_instances_trace(url: str) -> None:
    messages: list[Any] = []
    async with Engine(url, [Outer, Inner], behaviours=[Tracing()], sinks={"*": messages.append}) as engine:
        made = await engine.start(Outer, Parcel())
        assert (await made.wait(20)).status == "failed"
        inner = (await made.children())[0].id
        while not messages:
            await engine.metrics()
    found = spans()
    (labelled,), weighed, (inspected,) = found["label"], found["weigh"], found["inspect"]
    own, theirs = trace_of(made.id), trace_of(inner)
    assert [(s.context.trace_id, s.parent.span_id) for s in (labelled, inspected)] == [own, own]
    assert [(s.context.trace_id, s.parent.span_id) for s in weighed] == [theirs, theirs]
    assert [s.links[0].context.trace_id for s in weighed] == [own[0], own[0]], "the child's trace leads to its parent's"
    assert SEEN["label"] == labelled.context.span_id, "in a thread, too"
    told = labelled.attributes
    assert {NAMES[n]: told[NAMES[n]] for n in ("instance_id", "definition", "version", "node", "attempt", "outcome", "tenant")} == {
        "stepkeel.instance.id": made.id, "stepkeel.definition.name": "Outer", "stepkeel.definition.version": 1,
        "stepkeel.path": "at_work/label", "stepkeel.attempt": 1, "stepkeel.outcome": "done", "stepkeel.tenant": "default",
    }  # fmt: skip
    assert [(s.status.status_code.name, s.status.description) for s in weighed] == [("ERROR", "transient"), ("UNSET", None)]
    assert (inspected.status.description, inspected.attributes["stepkeel.outcome"]) == ("too_heavy", "failed")
    assert "hunter2" not in "".join(s.to_json() for s in weighed), "messages are for the history alone"
    assert messages[0].traceparent == traceparent_of(made.id)


async def test_what_began_and_signalled_it_links_to_it(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        app = engine.asgi(tracing=True)
        async with Client("http://localhost", transport=httpx2.ASGITransport(app=app)) as client:
            with trace.get_tracer("shop").start_as_current_span("checkout") as checkout:
                made = await client.start("WaitFlow", {"name": "x"})
                await made.signal("Go")
        with trace.get_tracer("shop").start_as_current_span("by code"):
            here = await engine.start(WaitFlow, Job())
    requests = [s for s in SPANS.get_finished_spans() if s.links]
    assert {s.context.trace_id for s in requests[:2]} == {checkout.get_span_context().trace_id}, "traceparent was heeded"
    assert [s.links[0].context.trace_id for s in requests] == [trace_of(i)[0] for i in (made.id, made.id, here.id)]
    assert [s.attributes["stepkeel.instance.id"] for s in requests] == [made.id, made.id, here.id]


async def test_calls_of_http_request_go_on_with_the_trace() -> None:
    sent: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200)

    http = Http(["https://api.example"], transport=httpx2.MockTransport(answer))
    with trace.get_tracer("shop").start_as_current_span("attempt") as span:
        await http.send(HttpRequest("https://api.example/x"), "key")
    await http.send(HttpRequest("https://api.example/x"), "key")
    assert sent[0].headers["traceparent"].split("-")[1] == f"{span.get_span_context().trace_id:032x}"
    assert "traceparent" not in sent[1].headers


def test_a_log_line_names_the_span() -> None:
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO"})
    assert "trace_id" not in json.loads(JsonLines().format(record))
    with trace.get_tracer("shop").start_as_current_span("attempt") as span:
        told = json.loads(JsonLines().format(record))
    assert told["trace_id"] == f"{span.get_span_context().trace_id:032x}"


async def test_an_attempt_that_is_told_to_stop_is_no_error() -> None:
    import asyncio

    async def stopped() -> None:
        raise asyncio.CancelledError

    class Told:
        activity, instance_id, definition, version, state, node, kind, attempt, tenant, parent = (
            "a",
            "i",
            "D",
            1,
            "s",
            "s/a",
            "activity",
            1,
            "",
            "",
        )

    with pytest.raises(asyncio.CancelledError):
        await Tracing()(Told(), stopped)
    with pytest.raises(PermanentError):
        await Tracing()(Told(), _broken)
    first, second = SPANS.get_finished_spans()
    assert (first.status.status_code.name, first.attributes["stepkeel.outcome"]) == ("UNSET", "stopped")
    assert second.status.status_code.name == "ERROR"


async def _broken() -> None:
    raise PermanentError("x")


def test_without_tracing_nothing_of_it_is_imported() -> None:
    program = "import sys, stepkeel; sys.exit(any(m.startswith('opentelemetry') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0

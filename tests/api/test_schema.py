"""Whatever a client sends, the API answers as its OpenAPI document says, and never by a fault of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import booleans
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stepkeel import Engine
from stepkeel.access import Access
from tests.api.place import Desk
from tests.api.served import served

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
FOUND: dict[str, str] = {}  # what there is, for addresses to lead to


@contextmanager
def running(access: Access | None) -> Iterator[tuple[str, str]]:
    """An API with a few instances in a thread of its own: its address, and a key that may everything."""
    ready, stop = threading.Event(), threading.Event()
    told: list[str] = []

    async def serve() -> None:
        async with Engine("memory://", [Desk]) as engine:
            key = (await engine.keys.create("all", roles=["admin"])).secret
            job = await engine.start(Desk, {"name": "x"})
            lines = await engine.start(Desk, {"name": "y"})
            async with asyncio.timeout(20):
                while (await engine.get(lines.id)).status != "waiting":
                    await asyncio.sleep(0.01)
                await lines.set_state("lines")
                while not (tasks := (await engine.tasks()).items):
                    await asyncio.sleep(0.01)
            FOUND.update(instance_id=job.id, task_id=tasks[0].id)
            async with served(engine.asgi(access=access, writes_per_minute=None)) as at:
                told.extend((at, key))
                ready.set()
                while not stop.is_set():
                    await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield told[0], told[1]
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture(scope="module", params=[Access(), pytest.param(None, marks=pytest.mark.soak)], ids=["keys", "open"])
def api(request: pytest.FixtureRequest) -> Iterator[tuple[Any, dict[str, str]]]:
    """The document as it is served, and what a caller says of themselves."""
    with running(request.param) as (at, key):
        yield schemathesis.openapi.from_url(f"{at}/openapi/openapi.json", wait_for_schema=5), {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def closed() -> Iterator[Any]:
    with running(Access()) as (at, _):
        yield schemathesis.openapi.from_url(f"{at}/openapi/openapi.json", wait_for_schema=5)


OPERATIONS = [
    o for o in Engine("memory://").asgi().state.tables.operations if o not in ("stream_history", "stream_events")
]  # a stream has no end to check


QUICK = settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck], derandomize=True)
LONG = settings(QUICK, max_examples=150, derandomize=False)


def depth(request: pytest.FixtureRequest) -> settings:
    return QUICK if request.node.get_closest_marker("soak") is None else LONG


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_operation_answers_as_it_is_documented(
    operation_id: str, api: tuple[Any, dict[str, str]], request: pytest.FixtureRequest
) -> None:
    schema, headers = api
    operation = schema.find_operation_by_id(operation_id)

    @depth(request)
    @given(case=operation.as_strategy(), lead=booleans())
    def holds(case: Any, lead: bool) -> None:
        if lead:
            case.path_parameters.update({k: v for k, v in FOUND.items() if k in case.path_parameters})
        assert case.call_and_validate(headers=headers, checks=CHECKS).status_code != 401

    holds()


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_what_does_not_fit_the_document_is_refused_as_it_says(
    operation_id: str, api: tuple[Any, dict[str, str]], request: pytest.FixtureRequest
) -> None:
    schema, headers = api
    operation = schema.find_operation_by_id(operation_id)

    @depth(request)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, headers=headers))
    def holds(case: Any) -> None:
        case.call_and_validate(checks=(*CHECKS, negative_data_rejection))

    if operation.body:
        holds()


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_without_a_credential_nothing_is_answered_but_how_to_get_one(operation_id: str, closed: Any) -> None:
    wanted = {"get_sign_in": (200,), "sign_in": (400, 404, 422)}.get(operation_id, (401,))
    operation = closed.find_operation_by_id(operation_id)

    @QUICK
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        assert case.call_and_validate(checks=CHECKS).status_code in wanted

    holds()

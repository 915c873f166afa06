"""Many instances over REST, and what is looked at across them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from stepkeel import Context, Engine, Fail, State, Workflow, activity, emit
from stepkeel.access import Access
from stepkeel.testing import VirtualClock
from tests.flows import Go, Job

API = "http://localhost/api/v1"


@activity
async def check(ctx: Context[Job]) -> None:
    if ctx.data.amount < 0:
        raise Fail("TOO_LITTLE", "too little")


class Sale(Workflow[Job]):
    checking = State[Job](check)
    waiting = State[Job](emit(lambda job: {"name": job.name}, to="checked"))
    done = State.completed()
    checking.to(waiting)
    waiting.on(Go, to=done)


class Api:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=engine.asgi()), base_url=API)

    async def post(self, at: str, status: int = 200, **body: Any) -> Any:
        answer = await self.client.post(f"{API}{at}", json=body, headers={"X-Actor": "ann"})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, at: str) -> Any:
        answer = await self.client.get(f"{API}{at}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def begun(self, *amounts: int, **more: Any) -> list[str]:
        items = [{"data": {"name": str(n), "amount": n}, **more} for n in amounts]
        ids = [i["id"] for i in (await self.post("/bulk/start", definition="Sale", items=items))["items"]]
        async with asyncio.timeout(10):
            for id in ids:
                while (await self.engine.get(id)).status not in ("waiting", "failed"):
                    await asyncio.sleep(0.003)
        return ids


@pytest.fixture
async def api(url: str) -> AsyncIterator[Api]:
    async with Engine(url, [Sale]) as engine:
        made = Api(engine)
        async with made.client:
            yield made


async def test_many_are_started_in_one_request_each_once_by_its_key(api: Api) -> None:
    items = [{"data": {"name": str(n)}, "key": f"k-{n}", "attributes": {"n": n}} for n in range(300)]
    first = await api.post("/bulk/start", definition="Sale", items=items)
    again = await api.post("/bulk/start", definition="Sale", items=items)
    assert [i["created"] for i in first["items"]] == [True] * 300
    assert [(i["id"], i["created"]) for i in again["items"]] == [(i["id"], False) for i in first["items"]]
    assert (await api.engine.get(first["items"][7]["id"])).attributes == {"n": 7}
    assert (await api.engine.history(first["items"][7]["id"]))[0].actor == "ann"


async def test_the_same_request_with_one_key_for_all_starts_nothing_again(api: Api) -> None:
    body = {"definition": "Sale", "items": [{"data": {"name": "a"}}, {"data": {"name": "b"}, "key": "own"}]}
    headers = {"Idempotency-Key": "whole"}
    first, again = [(await api.client.post(f"{API}/bulk/start", json=body, headers=headers)).json()["items"] for _ in range(2)]
    assert [(i["id"], i["created"]) for i in again] == [(i["id"], False) for i in first]
    assert [i["key"] for i in (await api.get("/instances"))["items"]] == ["whole#0", "own"]


async def test_one_that_does_not_fit_is_named_and_none_is_started(api: Api) -> None:
    items = [{"data": {"name": "a"}}, {"data": {"name": "b", "amount": "many"}}]
    told = await api.post("/bulk/start", 422, definition="Sale", items=items)
    assert (told["code"], told["detail"].startswith("item 1: ")) == ("data_invalid", True)
    for wrong, status in (({"items": []}, 422), ({"items": [{"data": {}}] * 1_001}, 422), ({"items": [{"colour": 1}]}, 422)):
        await api.post("/bulk/start", status, definition="Sale", **wrong)
    await api.post("/bulk/start", 422, definition="Nothing", items=[{}])
    assert (await api.get("/instances"))["items"] == []


async def test_what_is_asked_of_many_is_told_of_each_and_a_dry_run_only_says_which(api: Api) -> None:
    ids = await api.begun(1, 2, 3)
    dry = await api.post("/bulk/pause", filter={"definition": "Sale"}, dry_run=True, limit=2)
    assert (dry["items"], dry["more"]) == ([{"id": i, "outcome": "done", "reason": ""} for i in ids[:2]], True)
    assert (await api.get("/instances?status=paused"))["items"] == []
    await api.post("/bulk/pause", filter={"status": ["waiting"]}, reason="look")
    assert len((await api.get("/instances?status=paused"))["items"]) == 3
    await api.post("/bulk/resume", filter={"definition": "Sale"}, limit=1)
    told = await api.post("/bulk/signal", filter={"definition": "Sale"}, name="Stop", payload={})
    assert {i["outcome"] for i in told["items"]} == {"refused"}
    told = await api.post("/bulk/signal", filter={"definition": "Sale"}, name="Go", payload={"note": "x"}, key="once")
    assert {i["outcome"] for i in told["items"]} == {"pending"}
    assert len((await api.post("/bulk/cancel", filter={"status": ["paused"]}, compensate=True))["items"]) == 2
    async with asyncio.timeout(10):
        while (await api.engine.get(ids[0])).status != "completed":
            await asyncio.sleep(0.003)
    assert len((await api.post("/bulk/archive", filter={"status": ["cancelled"]}))["items"]) == 2
    assert (await api.post("/bulk/purge", filter={"definition": "Sale"}, archived=True))["count"] == 2
    assert (await api.post("/bulk/retire", older_than="0s"))["count"] == 1
    assert (await api.get("/instances"))["items"] == []


async def test_what_is_asked_of_many_with_a_key_is_done_to_each_once(api: Api) -> None:
    """A request whose answer was lost is sent again; meanwhile the first ones went on, and another has come."""
    ids = await api.begun(1, 2)
    body = {"filter": {"definition": "Sale"}, "reason": "look"}
    key = {"X-Actor": "ann", "Idempotency-Key": "look-1"}
    told = await api.client.post(f"{API}/bulk/pause", json=body, headers=key)
    assert [(i["id"], i["outcome"]) for i in told.json()["items"]] == [(i, "done") for i in ids]
    await api.post("/bulk/resume", filter={"definition": "Sale"})
    ids += await api.begun(3)
    told = await api.client.post(f"{API}/bulk/pause", json=body, headers=key)
    assert {i["id"] for i in told.json()["items"]} == set(ids)
    assert [i["id"] for i in (await api.get("/instances?status=paused"))["items"]] == ids[2:], "the others were paused by it before"
    refused = await api.client.post(f"{API}/bulk/pause", json=body, headers={"Idempotency-Key": "x" * 513})
    assert refused.status_code == 400


async def test_long_answers_are_compressed_for_who_takes_that_and_no_page_may_run_or_frame_them(api: Api) -> None:
    ids = await api.begun(*range(30))
    for at, long in (("/instances", True), (f"/instances/{ids[0]}", False)):
        packed = await api.client.get(f"{API}{at}", headers={"Accept-Encoding": "gzip"})
        plain = await api.client.get(f"{API}{at}", headers={"Accept-Encoding": "identity"})
        assert (packed.headers.get("Content-Encoding"), plain.headers.get("Content-Encoding")) == ("gzip" if long else None, None)
        assert packed.json() == plain.json()
    picture = await api.client.get(f"{API}/instances/{ids[0]}/diagram")
    assert picture.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert (
        "Access-Control-Allow-Origin"
        not in (await api.client.get(f"{API}/instances", headers={"Origin": "https://evil.example"})).headers
    )


async def test_failures_are_told_in_groups_and_redriven_by_their_code(api: Api) -> None:
    low = await api.begun(-1, -2, 5)
    (group,) = (await api.get("/dead-letters?definition=Sale"))["items"]
    assert (group["code"], group["count"], group["state"]) == ("TOO_LITTLE", 2, "checking")
    assert (await api.get("/dead-letters?code=OTHER"))["items"] == []
    await api.post(f"/instances/{low[0]}/set-data", changes={"amount": 1})
    told = await api.post("/bulk/redrive", filter={"definition": "Sale"}, code="TOO_LITTLE", reason="mended")
    assert {i["id"]: i["outcome"] for i in told["items"]} == dict.fromkeys(low[:2], "done")
    async with asyncio.timeout(10):
        while (await api.engine.get(low[0])).status != "waiting":
            await asyncio.sleep(0.003)


async def test_the_fleet_and_what_waits_in_it_can_be_looked_at(api: Api) -> None:
    await api.begun(1, 2, -1)
    counts = (await api.get("/metrics"))["items"]
    assert {(m["status"], m["state"]): m["count"] for m in counts} == {("failed", "checking"): 1, ("waiting", "waiting"): 2}
    (worker,) = (await api.get("/workers"))["items"]
    assert (worker["serves"], worker["alive"]) == (["Sale@1"], True)
    messages = (await api.get("/messages?limit=1"))["items"]
    assert [(m["topic"], m["payload"]) for m in messages] == [("checked", {"name": "1"})]
    report = await api.post("/doctor", histories=True)
    assert (report["checked"], report["violations"]) == (3, 0)
    assert (await api.get("/breakers"))["items"] == []
    await api.post("/breakers/bank/close", 404)
    assert (await api.post("/cached/forget"))["count"] == 0


async def test_prometheus_reads_facts_of_the_database(url: str) -> None:
    from prometheus_client.parser import text_string_to_metric_families as families

    async def told(api: Api, **headers: str) -> dict[tuple[str, ...], float]:
        answer = await api.client.get(f"{API}/metrics/prometheus", headers=headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        found = [(s.name, s.labels, s.value) for f in families(answer.text) for s in f.samples]
        assert {labels["tenant"] for _, labels, _ in found} == {api.engine.core().tenant}
        return {(name, *(labels[k] for k in sorted(labels) if k not in ("tenant", "version"))): n for name, labels, n in found}

    clock = VirtualClock()
    async with Engine(url, [Sale], clock=clock) as engine:
        await Api(engine).begun(1, 2, -1)
        found = await told(Api(engine))
        assert found["stepkeel_instances", "Sale", "waiting", "waiting"] == 2
        assert found["stepkeel_instances", "Sale", "checking", "failed"] == 1
        assert [n for k, n in found.items() if k[0] == "stepkeel_failed_latest"] == [1]
        assert (found["stepkeel_workers", "alive"], found["stepkeel_workers", "dead"]) == (1, 0)
    async with (
        Engine(url, [Sale], worker=False, clock=clock) as engine,
        Engine(url, tenant="acme", worker=False, clock=clock) as acme,
    ):
        await engine.start(Sale, Job())
        clock.advance(90)
        found = await told(Api(engine))
        assert found["stepkeel_due_instances", "Sale"] == 1
        assert found["stepkeel_due_oldest_seconds", "Sale"] == 90
        assert not [k for k in await told(Api(acme)) if "Sale" in k], "another tenant's"
        key = (await engine.keys.create("watch", roles=["operator"], any_tenant=True)).secret
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=engine.asgi(access=Access())), base_url=API) as client:
            all_of_them = await client.get(f"{API}/metrics/prometheus", headers={"Authorization": f"Bearer {key}"})
            assert 'stepkeel_due_instances{definition="Sale",tenant="*",version="1"} 1.0' in all_of_them.text


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("pause", {}, 422),
        ("pause", {"filter": {}}, 400),
        ("pause", {"filter": {"attributes": {}}}, 400),
        ("pause", {"filter": {"colour": "red"}}, 422),
        ("pause", {"filter": {"status": ["asleep"]}}, 422),
        ("pause", {"filter": {"status": ["completed"]}}, 400),
        ("pause", {"filter": {"created_to": "2020-01-01T00:00:00"}}, 422),
        ("pause", {"filter": {"definition": "Sale"}, "limit": 0}, 422),
        ("pause", {"filter": {"definition": "Sale"}, "limit": 1_001}, 422),
        ("pause", {"filter": {"definition": "Sale"}, "compensate": True}, 422),
        ("redrive", {"filter": {"status": ["paused"]}}, 400),
        ("signal", {"filter": {"definition": "Sale"}}, 422),
        ("purge", {"filter": {}}, 400),
        ("purge", {"filter": {"status": ["waiting"]}}, 400),
        ("retire", {"older_than": "soon"}, 400),
        ("retire", {}, 422),
    ],
)
async def test_what_makes_no_sense_of_many_is_refused_and_nothing_is_done(verb: str, body: Any, status: int) -> None:
    async with Engine("memory://", [Sale]) as engine:
        api = Api(engine)
        (id,) = await api.begun(1)
        await api.post(f"/bulk/{verb}", status, **body)
        assert (await engine.get(id)).status == "waiting"

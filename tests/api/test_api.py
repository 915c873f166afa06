"""The REST API on every store: the verbs as resources; what is wrong is told by its class, and nothing is stored then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from litestar.testing import AsyncTestClient

from stepkeel import Context, Engine, Signal, State, Workflow, activity, approval
from stepkeel.access import Access
from stepkeel.api.app import MOST_BODY
from stepkeel.api.document import document_of
from stepkeel.errors import Unavailable
from tests.flows import Job

API = "/api/v1"
ROOT = Path(__file__).parents[2]
Client = AsyncTestClient[Any]


class Paid(Signal):
    by: str


@activity
async def ship(ctx: Context[Job]) -> None:
    ctx.data.log.append("shipped")


class Ordering(Workflow[Job]):
    paying = State[Job](label="Waiting for money")
    checking = State[Job](approval("Ship {name}?", role="lead"))
    shipping = State(ship)
    done = State.completed()
    paying.on(Paid, to=checking, into=lambda job, s: {"note": s.by})
    paying.after(timedelta(days=3), to=done)
    checking.to(shipping)
    shipping.to(done)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with AsyncTestClient(Engine(url, [Ordering]).asgi()) as made:
        yield made


async def begun(client: Client, **more: Any) -> str:
    answer = await client.post(f"{API}/instances", json={"definition": "Ordering", "data": {"name": "pens"}, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def until(client: Client, at: str, holds: Any) -> Any:
    async with asyncio.timeout(10):
        while not holds(found := (await client.get(f"{API}{at}")).json()):
            await asyncio.sleep(0.005)
    return found


async def test_an_order_goes_from_its_start_to_its_end_and_every_side_of_it_can_be_read(client: Client) -> None:
    who = {"X-Actor": "ann"}
    answer = await client.post(
        f"{API}/instances",
        json={"definition": "Ordering", "data": {"name": "pens"}, "correlation_id": "c-1", "attributes": {"shop": 7}},
        headers=who,
    )
    made, at = answer.json(), answer.headers["Location"]
    assert (answer.status_code, made["status"] in ("created", "running", "waiting")) == (201, True)
    id = made["id"]
    await until(client, f"/instances/{id}", lambda i: i["state"] == "paying" and i["status"] == "waiting")
    assert {r["kind"] for r in (await client.get(f"{at}/explain")).json()["why"]} == {"timer", "signal"}
    assert [t["purpose"] for t in (await client.get(f"{at}/timers")).json()["items"]] == ["after"]
    answer = await client.post(f"{at}/signals", json={"name": "Paid", "payload": {"by": "bo"}}, headers={**who, "Prefer": "wait=5"})
    assert (answer.status_code, answer.json()["status"]) == (200, "processed")
    tasks = await until(client, f"/tasks?instance_id={id}", lambda t: t["items"])
    (task,) = tasks["items"]
    assert (task["title"], task["role"]) == ("Ship pens?", "lead")
    tag = (await client.get(f"{API}/tasks/{task['id']}")).headers["ETag"]
    assert (await client.get(f"{API}/tasks/{task['id']}", headers={"If-None-Match": tag})).status_code == 304
    assert (await client.post(f"{API}/tasks/{task['id']}/claim", json={}, headers=who)).status_code == 200
    refused = await client.post(
        f"{API}/tasks/{task['id']}/complete", json={"payload": {"approved": True}}, headers={"X-Actor": "eve"}
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert (await client.get(f"{API}/tasks/{task['id']}", headers={"If-None-Match": tag})).json()["claimed_by"] == "ann"
    for duplicate in (False, True):
        keyed = {**who, "Idempotency-Key": "yes"}
        done = await client.post(f"{API}/tasks/{task['id']}/complete", json={"payload": {"approved": True}}, headers=keyed)
        assert (done.json()["status"], done.json()["duplicate"]) == ("processed", duplicate)
    found = await until(client, f"/instances/{id}", lambda i: i["status"] == "completed")
    assert (found["data"]["log"], found["data"]["note"], found["attributes"]) == (["shipped"], "bo", {"shop": 7})
    history = (await client.get(f"{at}/history")).json()["items"]
    assert [e["revision"] for e in history] == [*range(1, found["revision"] + 1)]
    assert {e["actor"] for e in history} >= {"ann"}
    assert (await client.get(f"{at}/data?revision=1")).json()["note"] == ""
    assert [s["name"] for s in (await client.get(f"{at}/signals")).json()["items"] if s["kind"] == "signal"] == ["Paid"]
    assert (await client.get(f"{at}/diagram")).text.startswith("<svg")
    assert "paying" in (await client.get(f"{at}/diagram?format=mermaid")).text
    assert (await client.get(f"{at}/children")).json() == {"items": [], "cursor": None}
    assert (await client.get(f"{API}/instances?attribute=shop=7&status=completed&state=done")).json()["items"][0]["id"] == id
    assert (await client.post(f"{at}/archive", json={"reason": "over"}, headers=who)).json()["status"] == "processed"
    assert (await client.get(f"{API}/instances?definition=Ordering")).json()["items"] == []


async def test_a_thousand_starts_with_one_key_make_one_instance(client: Client) -> None:
    body = {"definition": "Ordering", "data": {"name": "pens"}}
    sent = [client.post(f"{API}/instances", json=body, headers={"Idempotency-Key": "k-1"}) for _ in range(1_000)]
    answers = await asyncio.gather(*sent)
    assert sorted(a.status_code for a in answers) == [200] * 999 + [201]
    assert len({a.json()["id"] for a in answers}) == 1
    two = await client.post(f"{API}/instances", json={**body, "key": "k-2"}, headers={"Idempotency-Key": "k-1"})
    assert (two.status_code, two.json()["code"]) == (400, "bad_request")


async def test_a_start_may_wait_for_the_end_and_says_how_long_it_has(client: Client) -> None:
    answer = await client.post(
        f"{API}/instances", json={"definition": "Ordering", "data": {"name": "x"}}, headers={"Prefer": "wait=0"}
    )
    assert answer.headers["Preference-Applied"] == "wait=0"
    id = answer.json()["id"]
    await client.post(f"{API}/instances/{id}/cancel", json={})
    again = await client.post(
        f"{API}/instances", json={"definition": "Ordering", "data": {"name": "x"}, "key": "k"}, headers={"Prefer": "wait=1"}
    )
    assert again.json()["status"] == "waiting", "its time was over first"


async def test_what_operators_ask_is_done_once_and_refused_where_it_is_not_possible(client: Client) -> None:
    id = await begun(client)
    at = f"{API}/instances/{id}"
    await until(client, f"/instances/{id}", lambda i: i["status"] == "waiting")
    assert (await client.post(f"{at}/pause", json={"reason": "look"}, headers={"X-Actor": "ann"})).json()["status"] == "processed"
    assert (await client.get(at)).json()["status"] == "paused"
    again = await client.post(f"{at}/redrive", json={})
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")
    assert (await client.post(f"{at}/set-data", json={"changes": {"note": "mended"}})).status_code in (200, 202)
    assert (await client.post(f"{at}/resume", json={})).status_code == 200
    await until(client, f"/instances/{id}", lambda i: i["data"]["note"] == "mended")
    assert (await client.post(f"{at}/fire-timer", json={"path": "nowhere"})).status_code == 409
    assert (await client.post(f"{at}/set-state", json={"state": "shipping"})).json()["status"] == "processed"
    await until(client, f"/instances/{id}", lambda i: i["status"] == "completed")
    ended = await client.post(f"{at}/signals", json={"name": "Paid", "payload": {"by": "x"}})
    assert (ended.status_code, ended.json()["code"]) == (409, "instance_ended")
    other = await begun(client)
    forked = await client.post(f"{API}/instances/{other}/fork", json={"from_state": "shipping", "key": "f-1"})
    assert (forked.status_code, forked.json()["id"] != other) == (201, True)
    assert (await client.post(f"{API}/instances/{other}/fork", json={"from_state": "shipping", "key": "f-1"})).status_code == 200


async def test_an_instance_is_changed_as_it_was_seen_or_not_at_all(client: Client) -> None:
    id = await begun(client)
    at = f"{API}/instances/{id}"
    await until(client, f"/instances/{id}", lambda i: i["status"] == "waiting")
    tag = (await client.get(at)).headers["ETag"]
    first = await client.post(f"{at}/pause", json={}, headers={"If-Match": tag})
    assert first.status_code == 200
    late = await client.post(f"{at}/resume", json={}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "revision_changed")
    for wrong in ("7", '"x"', 'W/"1"', '"0"', '"1", "2"', ""):
        answer = await client.post(f"{at}/resume", json={}, headers={"If-Match": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), wrong
    unheeded = await client.post(f"{at}/signals", json={"name": "Paid", "payload": {"by": "x"}}, headers={"If-Match": tag})
    assert (unheeded.status_code, "not heeded" in unheeded.text) == (400, True)
    assert (await client.get(at)).json()["status"] == "paused"
    assert (await client.post(f"{at}/resume", json={}, headers={"If-Match": "*"})).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (b"{", 400, "bad_request", None),
        (b'{"definition": "\xff"}', 400, "bad_request", None),
        (b"[" * 100_000, 422, "data_invalid", ""),
        (b'{"definition": "Ordering", "data": {"a": ' + b"[" * 100_000, 400, "bad_request", None),
        (b'{"definition": "Ordering", "priority": "2"}', 422, "data_invalid", "/priority"),
        (b'{"definition": "Ordering", "version": 1.5}', 422, "data_invalid", "/version"),
        (b"", 422, "data_invalid", ""),
        (b"[]", 422, "data_invalid", ""),
        (b'{"definition": 5}', 422, "data_invalid", "/definition"),
        (b'{"definition": "Ordering", "data": []}', 422, "data_invalid", "/data"),
        (b'{"definition": "Ordering", "datta": {}}', 422, "data_invalid", ""),
        (b'{"definition": "Ordering", "priority": 9}', 422, "data_invalid", "/priority"),
        (b'{"definition": "Ordering", "key": ""}', 422, "data_invalid", "/key"),
        (b'{"definition": "Ordering", "attributes": {"a": []}}', 422, "data_invalid", "/attributes"),
        (b'{"definition": "Ordering", "data": {"amount": "many"}}', 422, "data_invalid", None),
        (b'{"definition": "Ordering", "data": {"nmae": "x"}}', 422, "data_invalid", None),
        (b'{"definition": "Odering"}', 422, "unknown_workflow", None),
        (b'{"definition": "Ordering", "version": 9}', 422, "unknown_workflow", None),
        (b'{"definition": "' + b"x" * MOST_BODY + b'"}', 413, "bad_request", None),
    ],
)
async def test_a_start_that_makes_no_sense_is_told_where_and_stores_nothing(
    body: bytes, status: int, code: str, pointer: str | None
) -> None:
    async with AsyncTestClient(Engine("memory://", [Ordering]).asgi()) as client:
        answer = await client.post(f"{API}/instances", content=body, headers={"Content-Type": "application/json"})
        found = answer.json()
        assert (answer.status_code, found["code"], found["status"]) == (status, code, status), found
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert pointer is None or found["errors"][0]["pointer"] == pointer, found
        assert (await client.get(f"{API}/instances")).json()["items"] == []


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/instances?limt=5", 400, "there is no parameter limt"),
        ("/instances?limit=5000", 400, "limit"),
        ("/instances?status=odd", 400, "status"),
        ("/instances?created_from=yesterday", 400, "created_from"),
        ("/instances?cursor=xyz", 400, "cursor"),
        ("/instances?attribute=shop", 400, "name=value"),
        ("/instances/nowhere", 404, "there is no instance nowhere"),
        ("/instances/nowhere/history", 404, "there is no instance nowhere"),
        ("/instances/nowhere/children", 404, "there is no instance nowhere"),
        ("/tasks/nowhere", 404, "there is no task nowhere"),
        ("/definitions/Ordering/versions/9", 404, "there is no definition Ordering version 9"),
        ("/nothing", 404, "Not Found"),
    ],
)
async def test_what_cannot_be_read_is_told(path: str, status: int, told: str) -> None:
    async with AsyncTestClient(Engine("memory://", [Ordering]).asgi()) as client:
        answer = await client.get(f"{API}{path}")
        assert (answer.status_code, told in answer.text) == (status, True), answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
async def test_what_a_page_of_another_site_could_send_is_not_acted_upon(kind: str) -> None:
    async with AsyncTestClient(Engine("memory://", [Ordering]).asgi()) as client:
        body = b'{"definition": "Ordering", "data": {"name": "x"}}'
        answer = await client.post(f"{API}/instances", content=body, headers={"Content-Type": kind})
        assert (answer.status_code, "application/json is needed" in answer.text) == (415, True), answer.text
        assert (await client.get(f"{API}/instances")).json()["items"] == []


async def test_signals_that_do_not_fit_are_refused_and_nothing_is_stored(client: Client) -> None:
    id = await begun(client)
    for body, code in (
        ({"name": "Piad", "payload": {"by": "x"}}, "unknown_signal"),
        ({"name": "Paid", "payload": {"bye": "x"}}, "data_invalid"),
        ({"name": "Paid"}, "data_invalid"),
        ({"payload": {}}, "data_invalid"),
    ):
        answer = await client.post(f"{API}/instances/{id}/signals", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert (await client.get(f"{API}/instances/{id}/signals")).json()["items"] == []


async def test_pages_lead_through_all_instances_once(client: Client) -> None:
    started = [await begun(client, priority=n % 5) for n in range(7)]
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await client.get(f"{API}/instances?limit=3{cursor and f'&cursor={cursor}'}")).json()
        found += [i["id"] for i in page["items"]]
        cursor = page["cursor"]
    assert found == started
    newest = (await client.get(f"{API}/instances?descending=true&limit=1")).json()["items"]
    assert [i["id"] for i in newest] == started[-1:]


async def test_an_instance_that_has_not_moved_is_not_told_again(client: Client) -> None:
    id = await begun(client)
    await until(client, f"/instances/{id}", lambda i: i["status"] == "waiting")
    answer = await client.get(f"{API}/instances/{id}")
    tag = answer.headers["ETag"]
    same = await client.get(f"{API}/instances/{id}", headers={"If-None-Match": f'"0", {tag}'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    await client.post(f"{API}/instances/{id}/pause", json={})
    assert (await client.get(f"{API}/instances/{id}", headers={"If-None-Match": tag})).status_code == 200


async def test_definitions_are_listed_with_their_pictures(client: Client) -> None:
    (found,) = (await client.get(f"{API}/definitions")).json()["items"]
    assert (found["name"], found["version"], found["served"]) == ("Ordering", 1, True)
    assert (await client.get(f"{API}/definitions/Ordering/versions/1")).json() == found
    assert (await client.get(f"{API}/definitions/Ordering/versions/1/diagram")).text == Ordering.definition.svg()


async def test_it_is_alive_and_ready_only_while_the_database_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine("memory://", [Ordering])
    async with AsyncTestClient(engine.asgi()) as client:
        assert (await client.get("/livez")).status_code == (await client.get("/readyz")).status_code == 200

        async def away(*_: Any) -> Any:
            raise Unavailable("the database does not answer")

        monkeypatch.setattr(engine.store, "breakers", away)
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")
        assert (await client.get("/livez")).status_code == 200


async def test_every_answer_says_by_which_id_it_is_found_in_logs(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in ("/livez", f"{API}/instances", f"{API}/nothing", "/nothing", f"{API}/instances/none"):
        assert (await client.get(at, headers={"X-Request-ID": "req-1"})).headers["X-Request-ID"] == "req-1"
        made = (await client.get(at)).headers["X-Request-ID"]
        assert (len(made), made) != (32, (await client.get(at)).headers["X-Request-ID"])
        for wrong in ("a b", "x" * 129, "\u00e9"):
            assert (await client.get(at, headers={"X-Request-ID": wrong.encode()})).headers["X-Request-ID"] != wrong


async def test_what_ties_it_to_others_may_come_with_the_request(client: Client) -> None:
    body = {"definition": "Ordering", "data": {"name": "x"}}
    answer = await client.post(f"{API}/instances", json=body, headers={"X-Correlation-ID": "c-9"})
    assert (answer.json()["correlation_id"], answer.headers["X-Correlation-ID"]) == ("c-9", "c-9")
    same = {**body, "correlation_id": "c-9"}
    assert (await client.post(f"{API}/instances", json=same, headers={"X-Correlation-ID": "c-9"})).status_code == 201
    two = await client.post(f"{API}/instances", json=same, headers={"X-Correlation-ID": "c-8"})
    assert (two.status_code, two.json()["code"]) == (400, "bad_request")
    many = {"definition": "Ordering", "items": [{"data": {"name": "y"}}]}
    await client.post(f"{API}/bulk/start", json=many, headers={"X-Correlation-ID": "c-9"})
    assert len((await client.get(f"{API}/instances?correlation_id=c-9")).json()["items"]) == 3


async def test_our_own_faults_are_logged_and_not_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine("memory://", [Ordering])

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("the password is 123")

    async with AsyncTestClient(engine.asgi(), raise_server_exceptions=False) as client:
        monkeypatch.setattr(engine.store, "tasks", broken)
        answer = await client.get(f"{API}/tasks", headers={"X-Request-ID": "req-7"})
        assert (answer.status_code, answer.json()["code"], "123" in answer.text) == (500, "internal", False)
        assert "req-7" in caplog.text
        assert "the password is 123" in caplog.text


def test_the_openapi_document_that_is_committed_is_that_of_the_routes() -> None:
    """`python -m tests.api.test_api` writes it anew."""
    committed = json.loads((ROOT / "docs/reference/openapi.json").read_text(encoding="utf-8"))
    assert _openapi() == committed, "python -m tests.api.test_api"
    assert committed["openapi"].startswith("3.1")
    for path, item in committed["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], (method, path)
            asked = [p["name"] for p in operation.get("parameters", ()) if p["required"] and p["in"] != "path"]
            assert asked == [], "everything but the address has a default"
            if path.startswith(API):
                assert "application/problem+json" in operation["responses"]["404"]["content"], (method, path)


def test_whatever_acts_is_done_once_by_a_key_or_does_no_harm_again() -> None:
    harmless = {"purge_instances", "retire_instances", "close_breaker", "forget_cached", "run_doctor", "revoke_key", "sign_in"}
    acting = [item["post"] for item in _openapi()["paths"].values() if "post" in item]
    unkeyed = {o["operationId"] for o in acting if "Idempotency-Key" not in {p["name"] for p in o["parameters"]}}
    assert unkeyed == harmless


def test_whatever_is_sent_and_answered_has_an_example_that_fits() -> None:
    found = _openapi()
    schemas = found["components"]["schemas"]
    whole = [s for item in found["paths"].values() for operation in item.values() for s in _schemas(operation)]
    named = {s["$ref"].rpartition("/")[2] for s in whole if "$ref" in s}
    assert named == {name for name, told in schemas.items() if "examples" in told}
    for name in named:
        told = {"$ref": f"#/components/schemas/{name}", "components": found["components"]}
        (example,) = schemas[name]["examples"]
        jsonschema_rs.validator_for(told).validate(example)


def _schemas(operation: Any) -> list[Any]:
    sent = [operation["requestBody"]] if "requestBody" in operation else []
    return [c["schema"] for each in (*sent, *operation["responses"].values()) for c in each.get("content", {}).values()]


def _openapi() -> Any:
    found = document_of(Engine("memory://").asgi(access=Access()))
    found["info"]["version"] = "1"
    return json.loads(json.dumps(found))


if __name__ == "__main__":
    (ROOT / "docs/reference/openapi.json").write_text(json.dumps(_openapi(), indent=1) + "\n", encoding="utf-8")

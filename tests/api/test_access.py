"""Who may what: every operation by every role, for one's own tenant and for another's, is what the page says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stepkeel import Context, Engine, PermanentError, Signal, State, Workflow, activity, approval, for_each
from stepkeel.access import BUILT_IN, Access, Issuer, Role
from tests.access.provider import Provider, running
from tests.flows import Job

API = "/api/v1"
ROOT = Path(__file__).parents[2]
ROLES = ("viewer", "approver", "operator", "designer", "admin")
Answer = Any


class Paid(Signal):
    by: str


@activity
async def break_down(ctx: Context[Job]) -> None:
    raise PermanentError("broken")


class Desk(Workflow[Job]):
    paying = State[Job]()
    lines = State[Job](for_each(lambda job: ["a"], approval("Ship it?", role="approver"), stay_open_until="completed"))
    broken = State(break_down)
    done = State.completed()
    paying.on(Paid, to=done)
    paying.after(timedelta(days=3), to=done)
    lines.to(done)
    broken.to(done)


def page() -> dict[str, set[str]]:
    """The roles by operation, as the table of the page says."""
    text = (ROOT / "docs/how-to/identity.md").read_text(encoding="utf-8")
    head = re.search(r"^\| operation \|(.*)\|$", text, re.M)
    assert head is not None
    roles = [r.strip() for r in head[1].split("|")]
    found: dict[str, set[str]] = {}
    for name, cells in re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.M):
        found[name] = {role for role, cell in zip(roles, cells.split("|"), strict=True) if cell.strip() == "yes"}
    return found


def calling(engine: Engine, access: Access) -> httpx2.AsyncClient:
    """A client of the engine's API, on the loop on which it is open."""
    app = httpx2.ASGITransport(app=engine.asgi(access=access))
    return httpx2.AsyncClient(transport=app, base_url="http://localhost")


@dataclass
class Place:
    """One tenant of an API, with a credential for each role."""

    client: httpx2.AsyncClient
    engine: Engine
    secrets: dict[str, str]

    async def ask(self, role: str, method: str, at: str, body: Any = None, **headers: str) -> Answer:
        headers = {"Authorization": f"Bearer {self.secrets[role]}", **headers}
        return await self.client.request(method, f"{API}{at}", json=body, headers=headers)

    # -- what operations are tried on

    async def made(self, state: str = "", status: str = "waiting") -> str:
        instance = await self.engine.start(Desk, {"name": "x"})
        await self.until(instance.id, "waiting")
        if state:
            await self.engine.set_state(instance.id, state)
            await self.until(instance.id, status)
        return instance.id

    async def until(self, id: str, status: str) -> None:
        async with asyncio.timeout(10):
            while (await self.engine.get(id)).status != status:
                await asyncio.sleep(0.002)

    async def paused(self) -> str:
        id = await self.made()
        await self.engine.pause(id)
        return id

    async def failed(self) -> str:
        return await self.made("broken", "failed")

    async def ended(self) -> str:
        id = await self.made()
        await self.engine.cancel(id)
        return id

    async def open(self) -> tuple[str, str, str]:
        """An instance with a for_each that is open, its path, and the task of its item."""
        id = await self.made("lines")
        async with asyncio.timeout(10):
            while not (tasks := (await self.engine.tasks(instance_id=id)).items):
                await asyncio.sleep(0.002)
        return id, "lines/for_each", tasks[0].id

    async def task(self, actor: str = "") -> str:
        _, _, task = await self.open()
        if actor:
            await self.engine.task(task).claim(actor=actor)
        return task

    async def key(self) -> str:
        return (await self.engine.keys.create("other", roles=["viewer"])).key.id


Try = Callable[[Place, str], Awaitable[tuple[str, str, Any]]]  # of a place and a role: method, path, body


def _on(arranged: Callable[[Place], Awaitable[str]], verb: str = "", body: Any = None, kind: str = "instances") -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        at = f"/{kind}/{await arranged(place)}"
        return ("POST", f"{at}/{verb}", {} if body is None else body) if body is not None or verb else ("GET", at, None)

    return tried


def _side(name: str) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        return "GET", f"/instances/{await place.made()}/{name}", None

    return tried


def _node(verb: str, item: str = "", **more: Any) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        id, path, _ = await place.open()
        return "POST", f"/instances/{id}/{verb}", {"path": path + item, **more}

    return tried


def _task(verb: str, body: Any, *, claimed: bool = False) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        return "POST", f"/tasks/{await place.task(f'key:{role}' if claimed else '')}/{verb}", body

    return tried


def _plain(method: str, at: str, body: Any = None) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        return method, at, body

    return tried


TRIES: dict[str, Try] = {
    "get_identity": _plain("GET", "/identity"),
    "get_instance": _on(Place.made),
    **{f"get_{n}": _side(n) for n in ("data", "history", "signals", "timers", "children", "diagram")},
    "get_explanation": _side("explain"),
    "get_definition": _plain("GET", "/definitions/Desk/versions/1"),
    "get_definition_diagram": _plain("GET", "/definitions/Desk/versions/1/diagram"),
    "get_task": _on(Place.task, kind="tasks"),
    "list_instances": _plain("GET", "/instances"),
    "list_definitions": _plain("GET", "/definitions"),
    "list_tasks": _plain("GET", "/tasks"),
    "start_instance": _plain("POST", "/instances", {"definition": "Desk", "data": {"name": "x"}}),
    "signal_instance": _on(Place.made, "signals", {"name": "Paid", "payload": {"by": "x"}}),
    "pause_instance": _on(Place.made, "pause"),
    "resume_instance": _on(Place.paused, "resume"),
    "cancel_instance": _on(Place.made, "cancel"),
    "terminate_instance": _on(Place.made, "terminate"),
    "redrive_instance": _on(Place.failed, "redrive"),
    "fork_instance": _on(Place.made, "fork"),
    "archive_instance": _on(Place.ended, "archive"),
    "release_instance": _on(Place.made, "release"),
    "fire_timer": _on(Place.made, "fire-timer", {"path": "paying!after"}),
    "cancel_node": _node("cancel-node", "[0]/approval", then="skip"),
    "complete_node": _node("complete-node"),
    "add_items": _node("add-items", items=["b"]),
    "set_data": _on(Place.paused, "set-data", {"changes": {"note": "y"}}),
    "set_state": _on(Place.made, "set-state", {"state": "done"}),
    "claim_task": _task("claim", {}),
    "release_task": _task("release", {}, claimed=True),
    "complete_task": _task("complete", {"payload": {"approved": True}}),
    "reassign_task": _task("reassign", {"to": "bo"}),
    "comment_task": _task("comment", {"text": "hm"}),
    "list_keys": _plain("GET", "/keys"),
    "create_key": _plain("POST", "/keys", {"name": "new", "roles": ["viewer"]}),
    "rotate_key": _on(Place.key, "rotate", kind="keys"),
    "revoke_key": _on(Place.key, "revoke", kind="keys"),
}
NOBODYS = {n for n, t in TRIES.items() if t.__qualname__.startswith("_plain")}  # nothing in its address is of a tenant
POSSIBLE = {"release_instance": 409}  # no worker holds it: allowed, and nothing to do


@pytest.fixture
async def places(url: str) -> AsyncIterator[tuple[Place, Place]]:
    """Two tenants of one database behind one API; the keys of both are named after their roles."""
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(Engine(url, [Desk]))
        other = await stack.enter_async_context(Engine(url, [Desk], tenant="acme"))
        client = await stack.enter_async_context(calling(own, Access()))
        found: list[Place] = []
        for engine in (own, other):
            secrets = {role: (await engine.keys.create(role, roles=[role])).secret for role in ROLES}
            found.append(Place(client, engine, secrets))
        yield found[0], found[1]


def test_the_page_names_every_operation_and_every_role() -> None:
    paths = Engine("memory://").asgi(access=Access()).state.operations
    assert set(page()) == set(TRIES) == set(paths)
    assert set(BUILT_IN) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
async def test_every_operation_is_permitted_to_whom_the_page_says_and_is_forbidden_to_others(
    role: str, places: tuple[Place, Place]
) -> None:
    own, _ = places
    for operation, roles in page().items():
        method, at, body = await TRIES[operation](own, role)
        answer = await own.ask(role, method, at, body)
        if role in roles:
            wanted = (POSSIBLE[operation],) if operation in POSSIBLE else (200, 201, 202)
            assert answer.status_code in wanted, (operation, answer.status_code, answer.text)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), operation


@pytest.mark.parametrize("role", ROLES)
async def test_what_is_anothers_is_as_if_it_were_not_there(role: str, places: tuple[Place, Place]) -> None:
    own, other = places
    for operation, roles in page().items():
        if operation in NOBODYS:
            continue
        method, at, body = await TRIES[operation](other, role)
        answer = await own.ask(role, method, at, body)
        missing = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]*|(?<=/keys/)[0-9a-f]+", "00000000-0000-7000-8000-000000000000", at)
        as_missing = await own.ask(role, method, missing, body)
        assert answer.status_code == as_missing.status_code == (404 if role in roles else 403), (operation, answer.text)
        assert _without_ids(answer.text) == _without_ids(as_missing.text), operation
    theirs = {i.id for i in (await other.engine.list(limit=1000)).items}
    for at in ("/instances?limit=1000", "/tasks?limit=1000"):
        seen = (await own.ask(role, "GET", at)).text
        assert not any(id in seen for id in theirs)


def _without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]*|[0-9a-f]{16}", "ID", text)


async def test_who_says_nothing_or_something_wrong_is_nobody_and_stores_nothing(places: tuple[Place, Place]) -> None:
    own, _ = places
    start = {"definition": "Desk", "data": {"name": "x"}}
    for said in ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer stepkeel_0_0", own.secrets["admin"], "Bearer a.b.c"):
        for operation in TRIES:
            method, at, body = (
                await _plain("POST", "/instances", start)(own, "") if operation == "start_instance" else ("GET", "/keys", None)
            )
            answer = await own.client.request(method, f"{API}{at}", json=body, headers={"Authorization": said} if said else {})
            assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert own.secrets["admin"] not in answer.text
    assert (await own.engine.list()).items == ()
    for at in ("/livez", "/readyz", f"{API}/openapi/openapi.json"):
        assert (await own.client.get(at)).status_code == 200


async def test_who_they_are_is_what_the_history_keeps_and_only_the_trusted_speak_for_others(places: tuple[Place, Place]) -> None:
    own, _ = places
    id = await own.made()
    await own.ask("operator", "POST", f"/instances/{id}/pause", {"reason": "look"})
    answer = await own.ask("operator", "POST", f"/instances/{id}/resume", {}, **{"X-Actor": "ann"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert (await own.ask("operator", "POST", f"/instances/{id}/resume", {}, **{"X-Actor": "key:operator"})).status_code == 200
    assert (await own.ask("admin", "POST", f"/instances/{id}/pause", {}, **{"X-Actor": "ann"})).status_code == 200
    actors = [e.actor for e in await own.engine.history(id) if e.actor]
    assert actors == ["key:operator", "key:operator", "ann"]
    whoami = (await own.ask("approver", "GET", "/identity")).json()
    assert (whoami["name"], whoami["how"], whoami["tenant"], whoami["roles"]) == ("key:approver", "key", "default", ["approver"])
    assert set(whoami["operations"]) == {n for n, roles in page().items() if "approver" in roles}


async def test_a_task_is_done_by_who_has_its_role_and_by_nobody_who_only_says_so(url: str) -> None:
    access = Access(roles=[Role("clerk", ("get_*", "*_task"))])
    async with Engine(url, [Desk]) as engine, calling(engine, access) as client:
        keys = {"clerk": ["clerk"], "boss": ["clerk", "approver"]}
        place = Place(client, engine, {n: (await engine.keys.create(n, roles=r)).secret for n, r in keys.items()})
        task = await place.task()
        refused = await place.ask("clerk", "POST", f"/tasks/{task}/complete", {"payload": {"approved": True}})
        assert (refused.status_code, "for the role approver" in refused.text) == (403, True)
        done = await place.ask("boss", "POST", f"/tasks/{task}/complete", {"payload": {"approved": True}})
        assert done.json()["status"] == "processed"
        assert (await engine.task(task).get()).closed_by == "key:boss"


async def test_a_header_chooses_only_among_the_tenants_that_a_credential_reaches(places: tuple[Place, Place]) -> None:
    own, other = places
    theirs = await other.made()
    own.secrets["root"] = (await own.engine.keys.create("root", roles=["admin"], any_tenant=True)).secret
    for tenant in ("acme", "nobody", "*", ""):
        answer = await own.ask("admin", "GET", "/instances", **{"X-Tenant": tenant})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), tenant
    assert (await own.ask("admin", "GET", "/instances", **{"X-Tenant": "default"})).status_code == 200
    assert (await own.ask("root", "GET", f"/instances/{theirs}")).status_code == 404
    assert (await own.ask("root", "GET", f"/instances/{theirs}", **{"X-Tenant": "acme"})).json()["id"] == theirs
    started = await own.ask("root", "POST", "/instances", {"definition": "Desk", "data": {"name": "x"}}, **{"X-Tenant": "acme"})
    assert (await other.engine.get(started.json()["id"])).tenant == "acme"


async def test_nobody_makes_by_a_key_more_of_themselves(url: str) -> None:
    access = Access(roles=[Role("keeper", ("*_key", "*_keys", "get_*"))])
    async with Engine(url, [Desk]) as engine, calling(engine, access) as client:
        place = Place(client, engine, {"keeper": (await engine.keys.create("keeper", roles=["keeper"])).secret})
        strong = await engine.keys.create("strong", roles=["admin"])
        wide = await engine.keys.create("wide", roles=["admin"], any_tenant=True)
        for body in (
            {"name": "x", "roles": ["admin"]},
            {"name": "x", "roles": ["operator"]},
            {"name": "x", "roles": ["keeper"], "any_tenant": True},
        ):
            assert (await place.ask("keeper", "POST", "/keys", body)).status_code == 403, body
        assert (await place.ask("keeper", "POST", f"/keys/{strong.key.id}/rotate", {})).status_code == 403
        assert (await place.ask("keeper", "POST", f"/keys/{wide.key.id}/revoke", {})).status_code == 404, "out of sight"
        assert wide.key.id not in (await place.ask("keeper", "GET", "/keys")).text
        made = await place.ask(
            "keeper", "POST", "/keys", {"name": "x", "roles": ["operator"], "scopes": ["get_*"], "ends_in": "90d"}
        )
        assert (made.status_code, made.json()["key"]["made_by"]) == (201, "key:keeper")
        place.secrets["x"] = made.json()["secret"]
        assert (await place.ask("x", "GET", "/instances/none")).status_code == 404
        assert (await place.ask("x", "POST", "/instances", {"definition": "Desk"})).status_code == 403
        assert len(await engine.keys.list()) == 4


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "x", "roles": []}, 422),
        ({"name": " ", "roles": ["viewer"]}, 422),
        ({"name": "x" * 201, "roles": ["viewer"]}, 422),
        ({"name": "x", "roles": ["unheard_of"]}, 400),
        ({"name": "x", "roles": ["viewer"], "scopes": ["GET *"]}, 400),
        ({"name": "x", "roles": ["viewer"], "ends_in": "soon"}, 400),
        ({"name": "x", "roles": ["viewer"], "secret": "mine"}, 422),
        ({"roles": ["viewer"]}, 422),
        ([], 422),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(body: Any, status: int) -> None:
    async with Engine("memory://", [Desk]) as engine, calling(engine, Access()) as client:
        place = Place(client, engine, {"admin": (await engine.keys.create("admin", roles=["admin"])).secret})
        answer = await place.ask("admin", "POST", "/keys", body)
        assert answer.status_code == status, answer.text
        assert len(await engine.keys.list()) == 1


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as made:
        yield made


async def test_a_person_works_with_a_token_of_their_identity_provider(url: str, provider: Provider) -> None:
    issuer = Issuer(provider.url, "stepkeel", leeway=600, tenant_claim="org")
    async with Engine(url, [Desk]) as engine, Engine(url, [Desk], tenant="acme") as acme:
        now = acme.store.now() // 1_000_000
        async with calling(engine, Access(keys=False, issuers=[issuer])) as client:
            token = provider.token(exp=now + 300, iat=now, roles=["operator"], org=["acme", "beta"])
            place = Place(client, acme, {"ann": token, "cut": token[:-5]})
            id = await place.made()
            assert (await place.ask("ann", "POST", f"/instances/{id}/pause", {})).status_code == 200
            assert [e.actor for e in await acme.history(id)][-1] == "ann"
            assert (await place.ask("ann", "GET", f"/instances/{id}", **{"X-Tenant": "beta"})).status_code == 404
            assert (await place.ask("ann", "GET", f"/instances/{id}", **{"X-Tenant": "default"})).status_code == 403
            assert (await place.ask("cut", "GET", f"/instances/{id}")).status_code == 401
            provider.status = 500
            away = calling(engine, Access(keys=False, issuers=[issuer]))
            async with away:
                answer = await Place(away, acme, place.secrets).ask("ann", "GET", f"/instances/{id}")
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")

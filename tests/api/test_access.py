"""Who may what: every operation by every role, for one's own tenant and for another's, is what the page says."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from stepkeel import Engine
from stepkeel.access import BUILT_IN, Access, Issuer, Role
from stepkeel.engine.core import Core
from stepkeel.errors import NotFound
from stepkeel.model.commit import Row
from tests.access.provider import Provider, running
from tests.api.place import API, NOBODYS, POSSIBLE, ROLES, TRIES, Desk, Place, calling, page, plain


@pytest.fixture(params=["memory", "sqlite", "postgresql", "walled"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def places(url: str) -> AsyncIterator[tuple[Place, Place]]:
    """Two tenants of one database behind one API; the keys of both are named after their roles."""
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(Engine(url, [Desk]))
        other = await stack.enter_async_context(Engine(url, [Desk], tenant="acme"))
        client = await stack.enter_async_context(calling(own, Access(), many=True))
        found: list[Place] = []
        for engine in (own, other):
            secrets = {role: (await engine.keys.create(role, roles=[role])).secret for role in ROLES}
            found.append(Place(client, engine, secrets))
        yield found[0], found[1]


def test_the_page_names_every_operation_and_every_role() -> None:
    paths = Engine("memory://").asgi(access=Access()).state.tables.operations
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


async def test_a_check_that_the_code_forgot_is_made_by_a_database_with_a_wall(
    kind: str, places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = places
    theirs = await other.made()

    async def forgetful(self: Core, instance_id: str) -> Row:
        row = (await self.store.load([instance_id])).get(instance_id)
        if row is None:
            raise NotFound("nothing")
        return row

    monkeypatch.setattr(Core, "row", forgetful)
    for at in (f"/instances/{theirs}", f"/instances/{theirs}/history", f"/instances/{theirs}/signals"):
        assert (await own.ask("viewer", "GET", at)).status_code == (404 if kind == "walled" else 200), at
    paused = await own.ask("operator", "POST", f"/instances/{theirs}/pause", {})
    assert paused.status_code == (404 if kind == "walled" else 200), "what is not seen is not acted upon"


def _without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]*|[0-9a-f]{16}", "ID", text)


async def test_who_says_nothing_or_something_wrong_is_nobody_and_stores_nothing(places: tuple[Place, Place]) -> None:
    own, _ = places
    start = {"definition": "Desk", "data": {"name": "x"}}
    for said in ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer stepkeel_0_0", own.secrets["admin"], "Bearer a.b.c"):
        for operation in TRIES:
            method, at, body = (
                await plain("POST", "/instances", start)(own, "") if operation == "start_instance" else ("GET", "/keys", None)
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


async def test_anothers_takes_as_long_as_what_is_not_there(places: tuple[Place, Place]) -> None:
    own, other = places
    theirs, nobodys = await other.made(), "01a20410-372f-7d91-867b-d7b8c7b1c328"
    took: dict[str, list[float]] = {theirs: [], nobodys: []}
    for _ in range(150):
        for id in took:
            began = time.perf_counter()
            answer = await own.ask("viewer", "GET", f"/instances/{id}")
            took[id].append(time.perf_counter() - began)
            assert answer.status_code == 404
    a, b = (statistics.median(times) for times in took.values())
    assert 0.2 < a / b < 5, "of one order of magnitude"


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

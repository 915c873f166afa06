"""Signing in at an issuer's page: what the API tells of it, and what it gives for what the page came back with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.access import Access, Issuer, SignIn
from stepkeel.errors import BadRequest
from stepkeel.testing import VirtualClock
from tests.access.provider import FOREIGN, Provider, running
from tests.api.place import API, Desk, calling

BACK = "https://flows.example/signed-in"
VERIFIER = "v" * 43


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as made:
        yield made


@pytest.fixture
async def client(provider: Provider) -> AsyncIterator[httpx2.AsyncClient]:
    how = SignIn("console", client_secret="hush & shh", title="Example", parameters={"prompt": "login"})
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("memory://", [Desk], clock=VirtualClock()))
        access = Access(keys=False, issuers=[Issuer(provider.url, "stepkeel", sign_in=how), Issuer("https://other.example", "x")])
        yield await stack.enter_async_context(calling(engine, access, many=True))


def coming_back(provider: Provider, verifier: str = VERIFIER) -> dict[str, Any]:
    """What the browser sends after it was at the page."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {"client_id": "console", "redirect_uri": BACK, "state": "s", "code_challenge": digest, "code_challenge_method": "S256"}
    found = parse_qs(urlsplit(provider.come_in(asked)).query)
    return {"issuer": provider.url, "code": found["code"][0], "verifier": VERIFIER, "redirect_uri": BACK}


async def test_who_is_not_known_is_told_where_to_sign_in(client: httpx2.AsyncClient, provider: Provider) -> None:
    found = (await client.get(f"{API}/sign-in")).json()
    assert found == {
        "keys": False,
        "providers": [
            {
                "issuer": provider.url, "title": "Example", "authorize": f"{provider.url}/authorize", "client_id": "console",
                "scopes": ["openid", "profile"], "parameters": {"prompt": "login"},
            }
        ],
    }  # fmt: skip
    assert "hush" not in str(found)


@pytest.mark.parametrize(("taken", "shown"), [((), "Basic"), (("client_secret_post",), "in the form")])
async def test_a_code_is_exchanged_for_a_token_that_works_and_is_renewed(
    client: httpx2.AsyncClient, provider: Provider, taken: tuple[str, ...], shown: str
) -> None:
    if taken:
        provider.says["token_endpoint_auth_methods_supported"] = taken
    answer = await client.post(f"{API}/sign-in", json=coming_back(provider))
    assert answer.status_code == 200, answer.text
    token, again = answer.json()["token"], answer.json()["refresh_token"]
    who = await client.get(f"{API}/identity", headers={"Authorization": f"Bearer {token}"})
    assert (who.json()["name"], who.json()["how"], who.json()["roles"]) == ("ann", "token", ["operator"])
    assert provider.forms[0]["client_secret"] == "hush & shh", "of this process, never of the page"
    assert provider.forms[0]["shown"] == shown
    renewed = (await client.post(f"{API}/sign-in", json={"issuer": provider.url, "refresh_token": again})).json()
    assert renewed["refresh_token"] not in ("", again)
    assert (await client.get(f"{API}/identity", headers={"Authorization": f"Bearer {renewed['token']}"})).status_code == 200


async def test_the_id_token_is_taken_where_the_access_token_is_for_somebody_else(provider: Provider) -> None:
    access = Access(issuers=[Issuer(provider.url, "console", sign_in=SignIn("console"))])
    async with Engine("memory://", [Desk], clock=VirtualClock()) as engine, calling(engine, access, many=True) as client:
        provider.grants = {"access_token": "opaque", "refresh_token": None}
        answer = await client.post(f"{API}/sign-in", json=coming_back(provider))
        assert (answer.status_code, answer.json()["refresh_token"]) == (200, "")
        assert provider.forms[0]["client_id"] == "console"
        assert "client_secret" not in provider.forms[0]
        provider.grants = {"access_token": None, "id_token": provider.token(FOREIGN, aud="console")}
        assert (await client.post(f"{API}/sign-in", json=coming_back(provider))).status_code == 401


async def test_what_the_issuer_does_not_grant_lets_nobody_in(client: httpx2.AsyncClient, provider: Provider) -> None:
    async def refused(body: dict[str, Any], status: int, code: str) -> str:
        answer = await client.post(f"{API}/sign-in", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert "hush" not in answer.text
        return str(answer.json()["detail"])

    good = coming_back(provider)
    assert "the code does not fit" in await refused({**good, "verifier": "w" * 43}, 401, "not_authenticated")
    await refused(good, 401, "not_authenticated")  # a code holds once, also where what came with it did not fit
    await refused({**coming_back(provider), "redirect_uri": "https://evil.example/"}, 401, "not_authenticated")
    await refused({"issuer": provider.url, "refresh_token": "stolen"}, 401, "not_authenticated")
    await refused({"issuer": provider.url, "code": "c"}, 400, "bad_request")
    await refused({**good, "issuer": "https://other.example"}, 404, "not_found")
    await refused({**good, "issuer": "http://169.254.169.254/"}, 404, "not_found")
    provider.grants = {"access_token": "opaque", "id_token": "opaque"}
    await refused(coming_back(provider), 401, "not_authenticated")


async def test_an_issuer_that_does_not_answer_is_listed_and_says_so(provider: Provider) -> None:
    access = Access(issuers=[Issuer("http://127.0.0.1:9", "x", sign_in=SignIn("console"))])
    async with Engine("memory://", [Desk]) as engine, calling(engine, access, many=True) as client:
        assert (await client.get(f"{API}/sign-in")).json()["providers"][0]["authorize"] == ""
        answer = await client.post(f"{API}/sign-in", json={"issuer": "http://127.0.0.1:9", "refresh_token": "x"})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_tenants_are_those_one_reaches_with_what_they_may_use(provider: Provider) -> None:
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(Engine("memory://", [Desk], tenants={"default": "basic"}, worker=False))
        client = await stack.enter_async_context(calling(own, Access(), many=True))
        one = await own.keys.create("one", roles=["admin"])
        every = await own.keys.create("every", roles=["admin"], any_tenant=True)
        await own.start(Desk, {"name": "x"})

        async def told(key: str, **headers: str) -> dict[str, Any]:
            answer = await client.get(f"{API}/tenants", headers={"Authorization": f"Bearer {key}", **headers})
            return {t["name"]: t for t in answer.json()["items"]}

        found = await told(one.secret)
        assert set(found) == {"default"}
        assert found["default"]["instances"] == {"created": 1}
        assert found["default"]["tier"]["instances"] == 100
        assert found["default"]["tier"]["step_timeout"] == 300
        made = await client.post(
            f"{API}/keys", json={"name": "acme", "roles": ["viewer"]},
            headers={"Authorization": f"Bearer {every.secret}", "X-Tenant": "acme"},
        )  # fmt: skip
        assert made.status_code == 201
        assert set(await told(every.secret)) == {"acme", "default"}
        assert set(await told(one.secret)) == {"default"}, "of others it is not told that there are any"
        roles = (await client.get(f"{API}/roles", headers={"Authorization": f"Bearer {one.secret}"})).json()["items"]
        viewer = next(r for r in roles if r["name"] == "viewer")
        assert "get_instance" in viewer["operations"]
        assert "start_instance" not in viewer["operations"]


@pytest.mark.parametrize("wrong", [{"client_id": ""}, {"client_id": "x", "parameters": {"state": "mine"}}])
def test_a_sign_in_that_could_not_work_is_refused_where_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        SignIn(**wrong)


async def test_a_tenant_whose_tier_nobody_can_say_is_listed_all_the_same() -> None:
    def away(tenant: str) -> str:
        raise RuntimeError("no plan")

    async with Engine("memory://", [Desk], tenants=away, worker=False) as engine, calling(engine, None, many=True) as client:
        assert (await client.get(f"{API}/tenants")).json()["items"] == [{"name": "default", "tier": None, "instances": {}}]

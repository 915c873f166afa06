"""Tokens of identity providers: who they are, and every way in which a token may be false."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from stepkeel import Engine
from stepkeel.access import Access, Identity, Issuer
from stepkeel.errors import BadRequest, NotAuthenticated, Unavailable
from stepkeel.testing import VirtualClock
from tests.access.provider import EC, FOREIGN, NOW, RSA, Provider, running


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as made:
        yield made


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def engine(clock: VirtualClock) -> AsyncIterator[Engine]:
    async with Engine("memory://", worker=False, clock=clock) as made:
        yield made


def access(provider: Provider, **more: Any) -> Access:
    return Access(keys=False, issuers=[Issuer(provider.url, "stepkeel", **more)])


async def who(access: Access, engine: Engine, token: str) -> Identity:
    return await access.identify(engine.core(), f"Bearer {token}")


async def test_a_token_says_who_they_are_and_its_keys_are_asked_for_once(provider: Provider, engine: Engine) -> None:
    taken = access(provider)
    found = await who(taken, engine, provider.token())
    assert found == Identity("ann", "token", ("operator",), ("default",))
    assert (await who(taken, engine, provider.token(EC, "ES256", sub="bo", aud=["other", "stepkeel"]))).name == "bo"
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_claims_are_read_where_an_issuer_has_them(provider: Provider, engine: Engine) -> None:
    taken = access(
        provider,
        name_claim="email",
        roles_claim="realm_access.roles",
        roles={"ops": "operator"},
        tenant_claim="https://x.example/org",
    )
    claims = {"email": "ann@x.example", "realm_access": {"roles": ["ops", "lead", 7]}, "https://x.example/org": ["acme", "beta"]}
    found = await who(taken, engine, provider.token(**claims))
    assert found == Identity("ann@x.example", "token", ("operator", "lead"), ("acme", "beta"))
    spaced = access(provider, roles_claim="scope", tenant="acme")
    assert await who(spaced, engine, provider.token(scope="viewer approver", roles=None)) == Identity(
        "ann", "token", ("viewer", "approver"), ("acme",)
    )
    assert (await who(access(provider), engine, provider.token(roles=None))).roles == ()


BAD: dict[str, Any] = {
    "expired": lambda p: p.token(exp=NOW - 61),
    "without an end": lambda p: p.token(exp=None),
    "not valid yet": lambda p: p.token(nbf=NOW + 61),
    "for another audience": lambda p: p.token(aud="another"),
    "for no audience": lambda p: p.token(aud=None),
    "of an audience that is no text": lambda p: p.token(aud=7),
    "of another issuer": lambda p: p.token(iss="https://evil.example"),
    "of no issuer": lambda p: p.token(iss=None),
    "signed by a key of another": lambda p: p.token(FOREIGN),
    "signed by a key nobody has": lambda p: p.token(header={"kid": "rsa-9"}),
    "of a key that is named by a number": lambda p: p.by_hand({"alg": "RS256", "kid": 7}),
    "without the name of a key, of which there are two": lambda p: p.token(header={"kid": None}),
    "of an algorithm that is not allowed": lambda p: p.token(alg="RS512"),
    "of another algorithm than its key": lambda p: p.by_hand({"alg": "ES256", "kid": "rsa-1"}),
    "alg none": lambda p: p.by_hand({"alg": "none"}),
    "alg None": lambda p: p.by_hand({"alg": "None", "kid": "rsa-1"}),
    "without an algorithm": lambda p: p.by_hand({"kid": "rsa-1"}),
    "signed with the public key as a secret": lambda p: p.by_hand({"alg": "HS256", "kid": "rsa-1"}, RSA.as_pem(private=False)),
    "with a critical header": lambda p: p.by_hand({"alg": "RS256", "kid": "rsa-1", "crit": ["x"], "x": 1}),
    "cut off": lambda p: p.token()[:-10],
    "changed": lambda p: _changed(p.token()),
    "of nobody": lambda p: p.token(sub=None),
    "of nobody, empty": lambda p: p.token(sub=""),
    "of somebody who is no text": lambda p: p.token(sub=["ann"]),
    "of somebody with a name too long": lambda p: p.token(sub="x" * 201),
    "of somebody who would be taken for a key": lambda p: p.token(sub="key:ci"),
    "too large": lambda p: p.token(note="x" * 20_000),
    "no token": lambda p: "a.b.c",
    "five parts": lambda p: "a.b.c.d.e",
    "no JSON": lambda p: "e30.W10.c2ln",
}


def _changed(token: str) -> str:
    head, _, sign = token.split(".")
    return f"{head}.{Provider('').by_hand({}, iss='x').split('.')[1]}.{sign}"


@pytest.mark.parametrize("case", BAD)
async def test_a_false_token_is_refused(case: str, provider: Provider, engine: Engine) -> None:
    taken = access(provider)
    await who(taken, engine, provider.token())
    with pytest.raises(NotAuthenticated) as told:
        await who(taken, engine, BAD[case](provider))
    assert told.value.code == "not_authenticated"


async def test_a_clock_may_differ_by_the_leeway_and_no_more(provider: Provider, engine: Engine, clock: VirtualClock) -> None:
    taken, token = access(provider, leeway=10.0), provider.token()
    clock.advance(309)
    await who(taken, engine, token)
    clock.advance(2)
    with pytest.raises(NotAuthenticated):
        await who(taken, engine, token)


async def test_a_tenant_is_asked_for_where_it_was_said_and_the_wildcard_is_none(provider: Provider, engine: Engine) -> None:
    taken = access(provider, tenant_claim="org")
    for org in (None, "", [], "*", ["a", "*"], 7, {"x": 1}):
        with pytest.raises(NotAuthenticated):
            await who(taken, engine, provider.token(org=org))


async def test_a_new_key_is_found_and_an_unknown_one_does_not_have_the_issuer_asked_over_and_over(
    provider: Provider, engine: Engine, clock: VirtualClock
) -> None:
    taken = access(provider)
    await who(taken, engine, provider.token())
    provider.keys = [FOREIGN]
    with pytest.raises(NotAuthenticated):
        await who(taken, engine, provider.token(EC, "ES256", header={"kid": "ec-2"}))
    assert len(provider.asked) == 2, "just asked"
    clock.advance(31)
    with pytest.raises(NotAuthenticated):
        await who(taken, engine, provider.token(EC, "ES256", header={"kid": "ec-2"}))
    await who(taken, engine, provider.token(FOREIGN))
    assert len(provider.asked) == 4
    many = [who(taken, engine, provider.token(EC, "ES256", header={"kid": f"no-{n}"})) for n in range(50)]
    assert all(isinstance(e, NotAuthenticated) for e in await asyncio.gather(*many, return_exceptions=True))
    assert len(provider.asked) == 4


async def test_keys_are_asked_for_again_after_a_while_and_hold_on_while_the_issuer_is_away(
    provider: Provider, engine: Engine, clock: VirtualClock
) -> None:
    taken = access(provider)
    await who(taken, engine, provider.token(exp=NOW + 9_000))
    clock.advance(601)
    provider.status = 503
    await who(taken, engine, provider.token(exp=NOW + 9_000))
    assert len(provider.asked) == 3
    provider.status, provider.keys = 200, [EC]
    clock.advance(31)
    with pytest.raises(NotAuthenticated):
        await who(taken, engine, provider.token(exp=NOW + 9_000))  # withdrawn


@pytest.mark.parametrize(
    "says", [{}, {"issuer": "https://evil.example"}, {"jwks_uri": "http://evil.example/keys"}, {"jwks_uri": "file:///etc/passwd"}]
)
async def test_an_issuer_that_does_not_tell_its_keys_is_no_reason_to_trust_a_token(
    says: dict[str, Any], provider: Provider, engine: Engine
) -> None:
    provider.says = {**provider.says, **says} if says else {}
    taken = access(provider)
    with pytest.raises(Unavailable):
        await who(taken, engine, provider.token())
    asked = len(provider.asked)
    with pytest.raises(Unavailable, match="just now"):
        await who(taken, engine, provider.token())
    assert len(provider.asked) == asked


async def test_an_issuer_without_discovery_says_where_its_keys_are(provider: Provider, engine: Engine) -> None:
    await who(access(provider, jwks_url=f"{provider.url}/keys"), engine, provider.token())
    assert provider.asked == ["/keys"]
    provider.keys = [RSA]
    alone = access(provider)
    assert (await who(alone, engine, provider.token(header={"kid": None}))).name == "ann", "the only key there is"


@pytest.mark.parametrize(
    ("url", "more", "told"),
    [
        ("http://id.example", {}, "no address"),
        ("file:///etc/passwd", {}, "no address"),
        ("", {}, "no address"),
        ("https://id.example", {"audience": ""}, "which audience"),
        ("https://id.example", {"algorithms": ()}, "algorithms"),
        ("https://id.example", {"algorithms": ("none",)}, "algorithms"),
        ("https://id.example", {"algorithms": ("RS256", "HS256")}, "algorithms"),
        ("https://id.example", {"leeway": -1}, "leeway"),
        ("https://id.example", {"leeway": 3_600}, "leeway"),
        ("https://id.example", {"tenant": "*"}, "tenant"),
        ("https://id.example", {"jwks_url": "http://id.example/keys"}, "no address"),
    ],
)
def test_an_issuer_that_could_not_be_trusted_is_refused(url: str, more: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        Issuer(url, **{"audience": "stepkeel", **more})

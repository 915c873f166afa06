"""API keys on every store: shown once, known again, narrowed, rotated, revoked, over."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from stepkeel import Engine
from stepkeel.access import Access, Identity
from stepkeel.errors import BadRequest, ConflictError, NotAuthenticated, NotFound
from stepkeel.testing import VirtualClock

ACCESS = Access()
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def engine(url: str, clock: VirtualClock) -> AsyncIterator[Engine]:
    async with Engine(url, clock=clock) as made:
        yield made


async def who(engine: Engine, secret: str) -> Identity:
    return await ACCESS.identify(engine.core(), f"Bearer {secret}")


async def refused(engine: Engine, secret: str) -> None:
    with pytest.raises(NotAuthenticated, match="not known, or has ended"):
        await who(engine, secret)


async def test_a_key_is_shown_once_and_its_holder_known_by_it(engine: Engine) -> None:
    made = await engine.keys.create("ci", roles=["operator", "viewer"], scopes=["get_*"], actor="ann")
    assert re.fullmatch(r"stepkeel_[0-9a-f]{16}_[0-9a-f]{64}", made.secret)
    assert made.secret not in repr(made), "not in a log by accident"
    assert await who(engine, made.secret) == Identity(
        "key:ci", "key", ("operator", "viewer"), ("default",), ("get_*",), made.key.id
    )
    (found,) = await engine.keys.list()
    assert (found.name, found.tenant, found.made_by, found.ends_at, found.ended) == ("ci", "default", "ann", None, False)
    row = await engine.store.key(made.key.id)
    assert row is not None
    assert made.secret.rpartition("_")[2] not in str(row), "the database could not tell it"


async def test_a_key_that_is_wrong_in_any_part_is_refused(engine: Engine) -> None:
    made = (await engine.keys.create("ci", roles=["viewer"])).secret
    last = "0" if made[-1] != "0" else "1"
    for wrong in (
        made[:-1] + last,
        made[:-1],
        made + "0",
        made.replace("stepkeel_", "stepkeel_A"),
        made.replace("stepkeel_", "stepkeel_0"),
        "stepkeel_",
    ):
        await refused(engine, wrong)
    for none in ("", "Bearer", "Bearer ", "Basic abc", f"Basic {made}", made):
        with pytest.raises(NotAuthenticated, match="nobody says who asks"):
            await ACCESS.identify(engine.core(), none)
    with pytest.raises(NotAuthenticated, match="none that is taken here"):
        await who(engine, "something else")


async def test_a_key_ends_when_it_was_said_to_and_at_once_when_it_is_revoked(engine: Engine, clock: VirtualClock) -> None:
    made = await engine.keys.create("ci", roles=["viewer"], ends_in=DAY)
    other = await engine.keys.create("cd", roles=["viewer"])
    clock.advance(DAY - timedelta(seconds=1))
    await who(engine, made.secret)
    clock.advance(timedelta(seconds=1))
    await refused(engine, made.secret)
    assert (await engine.keys.revoke(other.key.id)).ended
    await refused(engine, other.secret)
    assert [k.ended for k in await engine.keys.list()] == [True, True]
    with pytest.raises(BadRequest, match="has ended"):
        await engine.keys.rotate(made.key.id)


async def test_a_rotated_key_is_valid_for_the_overlap_and_the_new_one_as_long_anew(engine: Engine, clock: VirtualClock) -> None:
    old = await engine.keys.create("ci", roles=["operator"], scopes=["get_*"], ends_in=30 * DAY)
    clock.advance(29 * DAY)
    new = await engine.keys.rotate(old.key.id, overlap=timedelta(hours=1), actor="bo")
    assert (new.key.name, new.key.roles, new.key.scopes, new.key.made_by) == ("ci", ("operator",), ("get_*",), "bo")
    assert new.key.ends_at == new.key.made_at + 30 * DAY
    await who(engine, old.secret)
    await who(engine, new.secret)
    clock.advance(timedelta(hours=1))
    await refused(engine, old.secret)
    await who(engine, new.secret)
    last = await engine.keys.rotate(new.key.id, overlap=60 * DAY)
    clock.advance(31 * DAY)
    await refused(engine, new.secret)  # an overlap makes nothing valid for longer
    await refused(engine, last.secret)


async def test_when_a_key_was_last_used_is_noted_once_a_minute(engine: Engine, clock: VirtualClock) -> None:
    made = await engine.keys.create("ci", roles=["viewer"])

    async def used() -> object:
        return (await engine.keys.get(made.key.id)).used_at

    assert await used() is None
    await who(engine, made.secret)
    first = await used()
    assert first is not None
    clock.advance(timedelta(seconds=59))
    await who(engine, made.secret)
    assert await used() == first
    clock.advance(timedelta(seconds=1))
    await who(engine, made.secret)
    assert await used() == first + timedelta(minutes=1)  # type: ignore[operator]


async def test_the_same_key_makes_one_which_is_shown_once(engine: Engine) -> None:
    made = await engine.keys.create("ci", roles=["viewer"], actor="ann", key="k-1")
    with pytest.raises(ConflictError, match=f"the key {made.key.id} was made so") as refused:
        await engine.keys.create("ci", roles=["viewer"], actor="ann", key="k-1")
    assert made.secret not in str(refused.value)
    other = await engine.keys.create("ci", roles=["viewer"], actor="bo", key="k-1")
    another = await engine.keys.rotate(made.key.id, actor="ann", key="k-1")
    with pytest.raises(ConflictError, match=another.key.id):
        await engine.keys.rotate(made.key.id, actor="ann", key="k-1")
    assert {k.id for k in await engine.keys.list()} == {made.key.id, other.key.id, another.key.id}
    assert [e.verb for e in await engine.audit.list(kind="key")] == ["make", "make", "rotate"]
    assert (await who(engine, another.secret)).name == "key:ci"


async def test_the_keys_of_a_tenant_are_out_of_sight_of_another(url: str, engine: Engine) -> None:
    own = await engine.keys.create("ci", roles=["viewer"])
    wide = await engine.keys.create("root", roles=["admin"], any_tenant=True)
    async with Engine(url, worker=False, tenant="acme", clock=VirtualClock()) as acme:
        theirs = await acme.keys.create("ci", roles=["viewer"])
        assert {k.id for k in await acme.keys.list()} == {theirs.key.id, wide.key.id}
        for call in (acme.keys.get, acme.keys.revoke, acme.keys.rotate):
            with pytest.raises(NotFound):
                await call(own.key.id)
        assert (await who(acme, own.secret)).tenants == ("default",)
        assert (await who(acme, wide.secret)).tenants == ("*",)


async def test_what_makes_no_sense_of_a_key_is_refused_and_nothing_is_stored(engine: Engine) -> None:
    for name, options, told in (
        ("", {"roles": ["viewer"]}, "no name of a key"),
        (" ", {"roles": ["viewer"]}, "no name of a key"),
        ("x" * 201, {"roles": ["viewer"]}, "no name of a key"),
        ("ci", {"roles": []}, "at least one role"),
        ("ci", {"roles": "viewer"}, "a list of names"),
        ("ci", {"roles": ["viewer"], "scopes": "get_*"}, "a list of names"),
        ("ci", {"roles": ["viewer"], "scopes": ["GET"]}, "no pattern"),
        ("ci", {"roles": ["viewer"], "ends_in": timedelta(0)}, "a time to come"),
    ):
        with pytest.raises(BadRequest, match=told):
            await engine.keys.create(name, **options)  # type: ignore[arg-type]
    made = await engine.keys.create("ci", roles=["viewer"])
    with pytest.raises(BadRequest, match="overlap"):
        await engine.keys.rotate(made.key.id, overlap=-DAY)
    assert len(await engine.keys.list()) == 1
    for call in (engine.keys.get, engine.keys.revoke, engine.keys.rotate):
        with pytest.raises(NotFound, match="no key nothing"):
            await call("nothing")

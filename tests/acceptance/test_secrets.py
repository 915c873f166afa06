"""Attempts are given the values of secrets; what is stored, told and logged has their references, or nothing of them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stepkeel import Context, Engine, Retry, Secrets, State, Workflow, activity, for_each, load
from stepkeel.errors import BadRequest, PermanentError, SecretMissing
from stepkeel.testing.context import FakeHost, context
from tests.flows import FAST

TOKEN = 'tok-"9f8e7d6c5b4a'
PLACE = "secret://env/SHOP_TOKEN"


@dataclass
class Shop:
    token: str = PLACE
    told: list[str] = field(default_factory=list[str])
    note: str = ""


seen: list[str] = []


@activity(retry=Retry(attempts=1))
async def call(ctx: Context[Shop, str]) -> None:
    seen.append(ctx.input)


@activity(retry=Retry(attempts=1))
async def ask(ctx: Context[Shop]) -> None:
    value = ctx.secret(ctx.data.token)
    seen.append(value)
    ctx.heartbeat({"with": value})
    await ctx.step("remember", lambda: f"was {value}")
    ctx.log(f"called with {value}")
    ctx.data.note = f"Bearer {value}"


@activity(retry=Retry(attempts=1))
def ask_in_a_thread(ctx: Context[Shop]) -> None:
    seen.append(ctx.secret(ctx.data.token))


@activity(retry=Retry(attempts=1))
async def fail_with_it(ctx: Context[Shop]) -> None:
    try:
        raise ConnectionError(f"401 for {ctx.secret(ctx.data.token)}")
    except ConnectionError as error:
        raise PermanentError(f"refused: {ctx.secret(ctx.data.token)}") from error


class Calling(Workflow[Shop]):
    work = State[Shop](for_each(lambda shop: [shop.token, f"Bearer {shop.token}", "plain"], call))
    done = State.completed()
    work.to(done)


class Asking(Workflow[Shop]):
    work = State(ask, ask_in_a_thread)
    done = State.completed()
    work.to(done)


class Failing(Workflow[Shop]):
    work = State(fail_with_it)
    done = State.completed()
    work.to(done)


FLOWS = [Calling, Asking, Failing]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    monkeypatch.setenv("DATABASE_PASSWORD", "another one")
    seen.clear()


async def told(engine: Engine, id: str) -> str:
    """All that can be read of an instance."""
    instance = engine.instance(id)
    parts: list[Any] = [await instance.get(), await instance.history(), await instance.explain(), await engine.store.history(id)]
    return repr(parts) + repr((await engine.store.load([id]))[id])


async def test_an_activity_is_given_the_value_and_the_database_the_reference(url: str) -> None:
    async with Engine(url, FLOWS, {Secrets: Secrets(env=["SHOP_*"])}, settings=FAST) as engine:
        job = await engine.start(Calling, Shop())
        assert (await job.wait(20)).status == "completed"
        assert sorted(seen) == sorted([TOKEN, f"Bearer {TOKEN}", "plain"])
        all_of_it = await told(engine, job.id)
        assert PLACE in all_of_it
        assert "9f8e7d6c" not in all_of_it


async def test_what_an_attempt_tells_of_a_secret_is_hidden_wherever_it_is_kept(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Engine(url, FLOWS, {Secrets: Secrets(env=["SHOP_TOKEN"])}, settings=FAST) as engine:
        job = await engine.start(Asking, Shop())
        result = await job.wait(20)
        assert (result.status, seen) == ("completed", [TOKEN, TOKEN])
        assert result.data.note == "Bearer ***"
        failed = await (lost := await engine.start(Failing, Shop())).wait(20)
        assert failed.failure is not None
        assert failed.failure.message == "refused: ***"
        assert "401 for ***" in failed.failure.causes[0]
        for id in (job.id, lost.id):
            assert "9f8e7d6c" not in await told(engine, id)
        assert "called with ***" in caplog.text
        assert "9f8e7d6c" not in caplog.text


async def test_no_byte_of_a_secret_reaches_the_file(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with Engine(f"sqlite:///{file}", FLOWS, {Secrets: Secrets(env=["SHOP_*"])}, settings=FAST) as engine:
        for flow in FLOWS:
            await (await engine.start(flow, Shop())).wait(20)
    assert len(seen) == 5
    with sqlite3.connect(file) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    for each in tmp_path.iterdir():
        assert b"9f8e7d6c" not in each.read_bytes()


async def test_a_secret_that_there_is_none_of_fails_at_once_and_says_where_it_was_looked_for(url: str) -> None:
    cases = {
        "secret://env/SHOP_MISSING": "there is no secret://env/SHOP_MISSING",
        "secret://env/DATABASE_PASSWORD": "there is no secret://env/DATABASE_PASSWORD",  # not among those it may ask for
        "secret://vault/x": "nobody has secrets of vault",
    }
    async with Engine(url, FLOWS, {Secrets: Secrets(env=["SHOP_*"])}, settings=FAST) as engine:
        for place, text in cases.items():
            for flow in (Calling, Asking):
                failure = (await (await engine.start(flow, Shop(place))).wait(20)).failure
                assert failure is not None
                assert (failure.code, failure.kind) == ("secret_missing", "permanent")
                assert text in failure.message
        failure = (await (await engine.start(Asking, Shop("no reference"))).wait(20)).failure
        assert failure is not None
        assert "is no reference" in failure.message
    async with Engine(url, FLOWS, settings=FAST) as without:
        failure = (await (await without.start(Calling, Shop())).wait(20)).failure
        assert failure is not None
        assert "this engine was given no secrets" in failure.message, "never is a reference sent in place of a secret"
    assert "another one" not in seen


async def test_a_provider_may_be_waited_for_knows_the_tenant_and_may_fail_for_a_while(url: str) -> None:
    asked: list[tuple[str, str]] = []

    async def vault(name: str, tenant: str) -> str:
        asked.append((name, tenant))
        await asyncio.sleep(0)
        if name == "gone":
            raise KeyError(name)
        if name == "sealed":
            raise ConnectionError("the vault does not answer")
        return f"{tenant}-{name}-0123456789"

    async with Engine(url, FLOWS, {Secrets: Secrets(vault=vault)}, tenant="acme", settings=FAST) as engine:
        place = "secret://vault/shop/token"
        job = await engine.start(Calling, Shop(place))
        assert (await job.wait(20)).status == "completed"
        job = await engine.start(Asking, Shop(place))
        assert (await job.wait(20)).status == "completed", "a reference in the data is there for ctx.secret, in a thread, too"
        assert set(seen) == {"acme-shop/token-0123456789", "Bearer acme-shop/token-0123456789", "plain"}
        assert set(asked) == {("shop/token", "acme")}
        for place, code in (("secret://vault/gone", "secret_missing"), ("secret://vault/sealed", "ConnectionError")):
            for flow in (Calling, Asking):
                failure = (await (await engine.start(flow, Shop(place))).wait(20)).failure
                assert failure is not None
                assert failure.code == code


def test_a_folder_has_one_secret_a_file_and_nothing_outside_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "token").write_text("from a file\n")
    (tmp_path / "outside").write_text("not this")
    (folder / "link").symlink_to(tmp_path / "outside")
    secrets = Secrets(folder=folder)
    assert secrets.value_now("secret://file/shop/token", "t") == "from a file"
    for name in ("shop/../../outside", "link", "shop", "none", "a/../../outside"):
        with pytest.raises(SecretMissing):
            secrets.value_now(f"secret://file/{name}", "t")
    with pytest.raises(BadRequest):
        Secrets(env="SHOP_TOKEN")  # type: ignore[arg-type]


async def test_a_document_names_a_secret_and_its_activity_is_given_it(url: str, tmp_path: Path) -> None:
    @activity(name="shop.call")
    async def shop_call(ctx: Context[Any, dict[str, Any]]) -> dict[str, Any]:
        seen.append(ctx.input["headers"]["Authorization"])
        return {"answered": ctx.input["headers"]["Authorization"]}

    file = tmp_path / "call.yaml"
    say = "  - {{name: {0}, uses: shop.call, with: {{headers: {{Authorization: '{1}'}}}}}}\n"
    steps = say.format("call", "Bearer secret://env/SHOP_TOKEN") + say.format("again", "{{ steps.call.output.answered }}")
    file.write_text(f"name: call\nsteps:\n{steps}")
    flow = load(file, activities=[shop_call])
    async with Engine(url, [flow], {Secrets: Secrets(env=["SHOP_*"])}, settings=FAST) as engine:
        job = await engine.start(flow, {})
        assert (await job.wait(20)).status == "completed"
        assert seen == [f"Bearer {TOKEN}", "Bearer ***"], "what a step gives is stored, and has no secret in it"
        all_of_it = await told(engine, job.id)
        assert "Bearer ***" in all_of_it
        assert "9f8e7d6c" not in all_of_it


async def test_an_activity_is_tested_with_secrets_of_the_tests_own() -> None:
    host = FakeHost(secrets={PLACE: "for a test"})
    order = Shop()
    await ask(context(order, host=host))
    assert order.note == "Bearer for a test"
    with pytest.raises(SecretMissing):
        await ask(context(Shop("secret://env/OTHER"), host=host))

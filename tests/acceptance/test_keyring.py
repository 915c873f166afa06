"""Encrypted instances, on every store: what is stored tells nothing, runs as before, and is opened by nobody else."""

from __future__ import annotations

import asyncio
import base64
import logging
import sqlite3
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from stepkeel import Context, Engine, Keyring, PermanentError, Signal, State, Workflow, activity, approval, child, emit, step
from stepkeel.errors import BadRequest, DatabaseInvalid, InstanceFault
from stepkeel.model.sealed import MARK, key_name
from tests.flows import FAST, Job

WORD = "heron-4711"  # what nothing in the database may tell
ONE, TWO, ACME = (bytes((n,)) * 32 for n in (1, 2, 3))
OLD = Keyring({"one": ONE}, "one")
BOTH = Keyring({"two": TWO, "one": ONE}, "two")


class Told(Signal):
    word: str


class Gate:
    closed = True


@activity(cache=timedelta(hours=1))
async def look_up(ctx: Context[Job, str]) -> str:
    return f"found {ctx.input}"


@activity
async def note(ctx: Context[Job]) -> None:
    ctx.data.log.append(ctx.data.name)


@activity
async def send(ctx: Context[Job], gate: Gate) -> None:
    if gate.closed:
        raise PermanentError(f"no {ctx.data.name}")


class Part(Workflow[Job]):
    work = State(note)
    done = State.completed()
    work.to(done)


class Letter(Workflow[Job]):
    writing = State[Job](
        note,
        emit(lambda job: {"word": job.name}, to="letters"),
        child(Part, lambda job: job),
        step("found", look_up, lambda run: run.input.name, into="note"),
    )
    reading = State[Job]()
    asking = State[Job](approval("Send it?", role="approver"))
    sending = State(send)
    sent = State.completed()
    writing.to(reading)
    reading.on(Told, to=asking)
    asking.to(sending)
    sending.to(sent)


def opened(url: str, keyring: Keyring | None, gate: Gate | None = None, **options: Any) -> Engine:
    return Engine(url, [Letter, Part], services={Gate: gate or Gate()}, keyring=keyring, settings=FAST, **options)


async def failed(engine: Engine) -> str:
    """A letter that has been through everything, and failed at the end."""
    letter = await engine.start(Letter, Job(WORD), key="k", attributes={"colour": "red"})
    await letter.wait(20, state=Letter.reading)
    await letter.signal(Told(WORD))
    async with asyncio.timeout(20):
        while not (tasks := (await engine.tasks(instance_id=letter.id)).items):
            await asyncio.sleep(0.005)
    await engine.task(tasks[0].id).complete({"approved": True, "comment": WORD}, actor="ann")
    assert (await letter.wait(20)).status == "failed"
    return letter.id


async def stored(engine: Engine) -> list[tuple[str, Any]]:
    """Every value of every table."""
    store: Any = engine.store
    found: list[tuple[str, Any]] = []
    if engine.url.startswith("postgresql"):
        schema = store.server.schema
        connection = await asyncpg.connect(engine.url.partition("?")[0])
        names = [r[0] for r in await connection.fetch("select tablename from pg_tables where schemaname = $1", schema)]
        for name in names:
            found += [(name, v) for r in await connection.fetch(f'select * from "{schema}".{name}') for v in r]
        await connection.close()
    elif engine.url.startswith("sqlite"):
        with sqlite3.connect(engine.url.removeprefix("sqlite:///")) as db:
            for (name,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
                found += [(name, v) for r in db.execute(f"select * from {name}") for v in r]
        db.close()
    else:
        found = [(name, v) for name, v in vars(store._store).items()]
    return found


def telling(values: list[tuple[str, Any]]) -> set[str]:
    """The tables that tell it."""
    return {table for table, v in values if WORD in (v.decode("latin-1") if isinstance(v, bytes) else str(v))}


async def test_nothing_that_is_stored_tells_what_it_is_about_and_all_of_it_is_read_as_it_was(url: str) -> None:
    gate = Gate()
    async with opened(url, OLD, gate) as engine:
        id = await failed(engine)
        everything = await stored(engine)
        assert telling(everything) == set()
        assert any(isinstance(v, bytes) and v.startswith(MARK) for _, v in everything) or url.startswith("memory")
        info = await engine.get(id)
        assert (info.data.log, info.data.note) == ([WORD], f"found {WORD}")
        assert info.failure is not None
        assert WORD in info.failure.message
        assert WORD in str(await engine.history(id))
        assert WORD in str(await engine.signals(id))
        assert [m.payload for m in await engine.outbox()] == [{"word": WORD}]
        assert [i.id for i in (await engine.list(attributes={"colour": "red"}, definition="Letter")).items] == [id]
        tasks = await engine.tasks(instance_id=id, status="completed")
        assert WORD in str(tasks.items[0].result)
        gate.closed = False
        await engine.redrive(id)
        assert (await engine.instance(id).wait(20)).status == "completed"
        assert (await engine.doctor()).clean
        await engine.archive(id)
        assert (await engine.get(id)).data.log == [WORD]
        assert telling(await stored(engine)) == set()


@pytest.mark.corrupts
async def test_the_test_would_see_it_where_it_is_not_encrypted(url: str) -> None:
    async with opened(url, None) as engine:
        await failed(engine)
        if not url.startswith("memory"):
            assert {"instances", "history", "signals", "tasks", "outbox", "cached"} <= telling(await stored(engine))


async def test_a_new_key_encrypts_what_is_written_from_then_on_and_the_old_one_opens_the_rest(url: str) -> None:
    async with opened(url, None) as engine:
        plain = await (await engine.start(Letter, Job(WORD))).wait(20, state=Letter.reading)
    async with opened(url, OLD) as engine:
        old = await (await engine.start(Letter, Job(WORD))).wait(20, state=Letter.reading)
    async with opened(url, BOTH) as engine:
        store: Any = engine.store
        for one, before in ((plain, None), (old, "one")):
            assert key_name((await store._store.load([one.id]))[one.id].snapshot) == before
            await engine.signal(one.id, Told("x"))
            await engine.instance(one.id).wait(20, state=Letter.asking)
            async with asyncio.timeout(20):
                while key_name((await store._store.load([one.id]))[one.id].snapshot) != "two":
                    await asyncio.sleep(0.005)
            assert WORD in str(await engine.history(one.id)), "the first entries too"
        assert (await engine.doctor()).clean


async def test_a_tenant_may_have_a_key_of_its_own(url: str) -> None:
    ring = Keyring({"main": ONE, "acme": ACME}, {"*": "main", "acme": "acme"})
    async with opened(url, ring) as ours, opened(url, ring, tenant="acme") as theirs:
        for engine, name in ((ours, "main"), (theirs, "acme")):
            started = await engine.start(Letter, Job(WORD))
            await started.wait(20, state=Letter.reading)
            store: Any = engine.store
            row = (await store._store.load([started.id]))[started.id]
            assert key_name(row.snapshot) == name
            assert all(key_name(h.events) == name for h in await store._store.history(started.id))


@pytest.mark.corrupts
@pytest.mark.parametrize(
    "ring", [None, Keyring({"two": TWO}, "two"), Keyring({"one": TWO}, "one")], ids=["none", "another", "false"]
)
async def test_who_lacks_the_key_is_not_let_in_and_changes_nothing(url: str, ring: Keyring | None) -> None:
    async with opened(url, OLD) as engine:
        letter = await engine.start(Letter, Job(WORD))
        await letter.wait(20, state=Letter.reading)
    for worker in (True, False):
        with pytest.raises(DatabaseInvalid, match=r"encrypted.* key one .*STEPKEEL_KEYRING"):
            await opened(url, ring, worker=worker).open()
    async with opened(url, OLD) as engine:
        assert (await engine.get(letter.id)).data.log == [WORD]


@pytest.mark.corrupts
async def test_bytes_of_another_instance_or_another_place_are_opened_by_no_key(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(url, OLD) as engine:
        first, second = [await engine.start(Letter, Job(f"{WORD}-{n}")) for n in range(2)]
        for each in (first, second):
            await each.wait(20, state=Letter.reading)
        store: Any = engine.store
        async with asyncio.timeout(20):
            while any(r.owner for r in (await store.load([first.id, second.id])).values()):
                await asyncio.sleep(0.005)
        row = (await store._store.load([first.id]))[first.id]
        letter = OLD.seal(b"{}", "default", first.id, "signal/a/b")
        with caplog.at_level(logging.ERROR):
            assert OLD.open(row.snapshot, second.id, "snapshot") == row.snapshot
            assert OLD.open(row.snapshot, first.id, "events/1") == row.snapshot
            assert OLD.open(letter, first.id, "signal/a/c") == letter
            assert OLD.open(letter[:-1], first.id, "signal/a/b") == letter[:-1]
            assert OLD.open(MARK, first.id, "snapshot") == MARK
            assert OLD.open(MARK + b"\x09x", first.id, "snapshot") == MARK + b"\x09x"
        assert WORD not in caplog.text
        assert OLD.open(letter, first.id, "signal/a/b") == b"{}"
        store._store.load, load = _swapped(store._store.load, second.id, row.snapshot), store._store.load
        with pytest.raises(InstanceFault, match="encrypted"):
            await engine.data(second.id)
        store._store.load = load
        assert (await engine.get(second.id)).data.log == [f"{WORD}-1"]


def _swapped(load: Any, id: str, snapshot: bytes) -> Any:
    import msgspec

    async def loaded(ids: Any) -> Any:
        return {i: msgspec.structs.replace(r, snapshot=snapshot) if i == id else r for i, r in (await load(ids)).items()}

    return loaded


def test_a_key_never_encrypts_the_same_twice_and_never_for_two_instances() -> None:
    made = {OLD.seal(b"{}", "default", f"i{n % 2}", "snapshot") for n in range(1_000)}
    assert len(made) == 1_000
    assert OLD.seal(b"", "default", "i", "snapshot") == b""
    assert OLD._cipher("one", "i0") is not OLD._cipher("one", "i1")


def test_keys_are_read_from_text_the_first_is_current_and_no_message_tells_one() -> None:
    text = [base64.b64encode(k).decode() for k in (ONE, TWO, ACME)]
    ring = Keyring.read(f"two:{text[1]}, one:{text[0]}\nacme=theirs:{text[2].rstrip('=')}\n")
    for tenant, name in (("default", "two"), ("acme", "theirs")):
        assert key_name(ring.seal(b"{}", tenant, "i", "snapshot")) == name
    assert repr(ring) == "Keyring(one, theirs, two)"
    for wrong in (
        "",
        " ,",
        "one",
        f"one:{text[0][:-5]}",
        f":{text[0]}",
        f"one:{text[0]},one:{text[1]}",
        f"acme=one:{text[0]}",
        f"ö:{text[0]}",
    ):
        with pytest.raises(BadRequest) as caught:
            Keyring.read(wrong)
        assert not any(t[:20] in str(caught.value) for t in text), wrong


@pytest.mark.parametrize(
    ("keys", "current"),
    [
        ({}, "one"),
        ({"one": ONE}, "two"),
        ({"one": ONE}, {"acme": "one"}),
        ({"one": ONE[:-1]}, "one"),
        ({"one": "short"}, "one"),
        ({"one": "ä" * 43}, "one"),
        ({"": ONE}, ""),
        ({"x" * 64: ONE}, "x" * 64),
    ],
)
def test_a_keyring_that_makes_no_sense_is_refused(keys: Any, current: Any) -> None:
    with pytest.raises(BadRequest):
        Keyring(keys, current)


@pytest.mark.corrupts
async def test_what_was_set_aside_for_lack_of_a_key_goes_on_with_it(url: str) -> None:
    """Keys that differ among workers are what a careless change of keys looks like."""
    async with opened(url, OLD, worker=False) as early:
        async with opened(url, BOTH) as engine:
            letter = await engine.start(Letter, Job(WORD))
            await letter.wait(20, state=Letter.reading)
        await early.start(Letter, Job("readable"))  # made last: so who lacks the other key is let in
    async with opened(url, OLD) as lacking:
        await lacking.signal(letter.id, Told("x"))
        async with asyncio.timeout(20):
            while (info := await lacking.get(letter.id)).fault is None:
                await asyncio.sleep(0.005)
        assert "encrypted, and cannot be read with the key two" in info.fault
    async with opened(url, BOTH) as engine:
        resumed = await engine.resume_all(fault=True, reason="the key is here")
        assert (*resumed.done, *resumed.pending) == (letter.id,)
        await letter_of(engine, letter.id).wait(20, state=Letter.asking)


def letter_of(engine: Engine, id: str) -> Any:
    return engine.instance(id, Letter)

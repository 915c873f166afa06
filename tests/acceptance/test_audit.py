"""Who did what is kept, once, in the commit that does it; and nobody changes it unseen."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from stepkeel import Engine
from stepkeel.engine.audit import AuditEntry
from stepkeel.errors import BadRequest, DataInvalid, InvalidTransition
from stepkeel.model.act import ActQuery, ActRow, Head
from tests.flows import Go, Job, WaitFlow


async def told(engine: Engine, **filters: Any) -> list[tuple[str, str, str, str]]:
    """Without deployments: verb, kind, actor, reason."""
    found = await engine.audit.list(**filters)
    return [(e.verb, e.kind, e.actor, e.reason) for e in found if e.verb != "deploy"]


async def test_each_act_is_an_entry_with_actor_and_reason(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        job = await engine.start(WaitFlow, Job(), actor="ann", key="order-7")
        await job.wait(10, state="ready")
        await job.pause(actor="bo", reason="stock is counted")
        await job.set_data({"note": "secret"}, actor="bo")
        await job.resume(actor="bo")
        await job.signal(Go(), actor="cy", wait=10)
        await job.wait(10)
        made = await engine.keys.create("ci", roles=["viewer"], actor="ann")
        await engine.keys.revoke(made.key.id, actor="ann", reason="it leaked")
        assert await engine.purge(status="completed", actor="dee", reason="their wish") == 1
        assert await told(engine) == [
            ("start", "instance", "ann", ""),
            ("pause", "instance", "bo", "stock is counted"),
            ("set_data", "instance", "bo", ""),
            ("resume", "instance", "bo", ""),
            ("signal", "instance", "cy", ""),
            ("make", "key", "ann", ""),
            ("revoke", "key", "ann", "it leaked"),
            ("purge", "instances", "dee", "their wish"),
        ]
        entries = {e.verb: e for e in await engine.audit.list()}
        assert entries["deploy"].subject == "WaitFlow/1"
        assert entries["start"].subject == entries["pause"].instance_id == job.id
        assert entries["start"].detail == {"definition": "WaitFlow", "version": 1, "key": "order-7"}
        assert entries["set_data"].detail == {"fields": ["note"]}, "names, not what they were set to"
        assert entries["purge"].detail == {"count": 1, "filters": {"status": "completed"}}
        assert made.secret not in str(entries)
        assert (await engine.audit.verify()).intact


async def test_what_changes_nothing_is_no_entry_and_code_that_names_nobody_has_its_history(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        job = await engine.start(WaitFlow, Job(), key="k")
        assert not (await engine.start(WaitFlow, Job(), key="k", actor="ann")).created
        await job.wait(10, state="ready")
        with pytest.raises(InvalidTransition):
            await job.resume(actor="ann")
        with pytest.raises(DataInvalid):
            await job.signal("Go", {"strange": 1}, actor="ann")
        assert await engine.purge(status="completed", actor="ann") == 0
        assert await engine.forget_cached(actor="ann") == 0
        await job.signal(Go(), key="s", actor="ann", wait=10)
        await job.signal(Go(), key="s", actor="bo")
        assert await told(engine) == [("signal", "instance", "ann", "")]


async def test_a_name_that_no_database_takes_is_refused_and_nothing_is_done(url: str) -> None:
    async with Engine(url, [WaitFlow], worker=False) as engine:
        job = await engine.start(WaitFlow, Job())
        for name in ("an\0n", "\ud800"):
            with pytest.raises(BadRequest, match="actor="):
                await job.pause(actor=name)
            with pytest.raises(BadRequest, match="actor="):
                await engine.start(WaitFlow, Job(), actor=name, key="k")
        assert (await job.get()).status == "created"
        assert await told(engine) == []


async def test_entries_are_found_by_who_what_and_when_and_paged_by_number(url: str) -> None:
    async with Engine(url, [WaitFlow], worker=False) as engine:
        jobs = [await engine.start(WaitFlow, Job(), actor="ann" if n % 2 else "bo") for n in range(5)]
        await jobs[0].cancel(actor="ann")
        assert len(await engine.audit.list(actor="ann")) == 3
        assert len(await engine.audit.list(verb="start", actor="bo")) == 3
        assert [e.verb for e in await engine.audit.list(instance_id=jobs[0].id)] == ["start", "cancel"]
        assert [e.subject for e in await engine.audit.list(kind="definition")] == ["WaitFlow/1"]
        everything = await engine.audit.list()
        paged: list[AuditEntry] = []
        while page := await engine.audit.list(after=paged[-1].seq if paged else 0, limit=2):
            paged += page
        assert paged == everything
        assert [e.seq for e in everything] == [1, 2, 3, 4, 5, 6, 7]
        assert await engine.audit.list(newest_first=True, before=7, limit=1) == [everything[5]]
        middle = everything[3].at
        assert await engine.audit.list(at_from=middle) == [e for e in everything if e.at >= middle]
        assert await engine.audit.list(at_to=middle + timedelta(seconds=-60)) == []
        for wrong in ({"limit": 0}, {"limit": 1_001}, {"who": "ann"}):
            with pytest.raises(BadRequest):
                await engine.audit.list(**wrong)  # type: ignore[arg-type]


async def test_many_engines_append_to_one_chain_and_each_tenant_has_its_own(url: str) -> None:
    async with (
        Engine(url, [WaitFlow]) as one,
        Engine(url, [WaitFlow], worker=False) as two,
        Engine(url, [WaitFlow], worker=False, tenant="acme") as acme,
    ):
        engines = (one, two, acme)
        starting = asyncio.gather(*(e.start(WaitFlow, Job(), actor="ann") for e in engines for _ in range(40)))
        while not starting.done():
            assert (await two.audit.verify()).intact, "also while others append to it"
            await asyncio.sleep(0)
        jobs = await starting
        await asyncio.gather(*(job.cancel(actor="bo") for job in jobs))
        for engine, count in ((one, 160), (acme, 80)):
            report = await engine.audit.verify()
            assert report.intact, report.problems
            acts = [e for e in await engine.audit.list(limit=1_000) if e.verb in ("start", "cancel")]
            assert len(acts) == count
            assert len({(e.verb, e.subject) for e in acts}) == count, "each once"


async def test_an_export_can_be_checked_with_nothing_but_sha256(url: str) -> None:
    async with Engine(url, [WaitFlow], worker=False) as engine:
        for n in range(3):
            await engine.start(WaitFlow, Job(), actor=f"änn {n}")
        lines = [line async for line in engine.audit.export()]
        previous = "0" * 64
        for line in lines:
            entry, _, rest = line.decode().rpartition(',"digest":"')
            digest = rest.removesuffix('"}\n')
            assert hashlib.sha256(f"{entry}}}".encode()).hexdigest() == digest
            assert json.loads(line)["previous"] == previous
            previous = digest
        assert await engine.audit.head() == f"{len(lines)}:{previous}"
        assert [line async for line in engine.audit.export(after=2)] == lines[2:]


Spoil = Callable[[list[ActRow]], list[ActRow]]
SPOILED: dict[str, tuple[Spoil, str]] = {
    "changed": (lambda r: [*r[:1], replace(r[1], entry=r[1].entry.replace(b"ann 1", b"bob 1")), *r[2:]], "entry 2 was changed"),
    "written anew": (
        lambda r: [
            *r[:1],
            replace(r[1], entry=(e := r[1].entry.replace(b"ann", b"bob")), digest=hashlib.sha256(e).digest(), actor="bob 1"),
            *r[2:],
        ],
        "entry 3 names another one before it",
    ),
    "column changed": (lambda r: [*r[:1], replace(r[1], actor="bob"), *r[2:]], "the column actor was changed"),
    "taken out": (lambda r: [r[0], *r[2:]], "what was between is gone"),
    "exchanged": (lambda r: [r[0], replace(r[2], seq=2), replace(r[1], seq=3), *r[3:]], "entry 2 names another one before it"),
    "cut off": (lambda r: r[:-1], "the entries behind 3 are gone"),
    "no text": (lambda r: [replace(r[0], entry=b"\xff{", digest=hashlib.sha256(b"\xff{").digest()), *r[1:]], "entry 1 is no JSON"),
    "no JSON": (lambda r: [replace(r[0], entry=b"[]", digest=hashlib.sha256(b"[]").digest()), *r[1:]], "entry 1 is no JSON"),
}


@pytest.mark.parametrize("how", SPOILED)
async def test_what_is_done_to_the_log_is_seen(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Engine("memory://") as engine:
        for n in range(4):
            await engine.keys.create("ci", roles=["viewer"], actor=f"ann {n}")
        assert (await engine.audit.verify()).intact
        spoil, why = SPOILED[how]
        chains: Any = engine.store._chains  # type: ignore[attr-defined]
        chains._rows["default"] = spoil(chains._rows["default"])
        report = await engine.audit.verify()
        assert not report.intact
        assert len(await engine.audit.list()) >= 3, "it can still be read"
        assert any(why in problem for problem in report.problems), report.problems


async def test_an_anchor_kept_elsewhere_shows_a_chain_that_was_made_anew() -> None:
    async with Engine("memory://") as engine:
        for n in range(3):
            await engine.keys.create("ci", roles=["viewer"], actor=f"ann {n}")
        anchor = await engine.audit.head()
        assert (await engine.audit.verify(anchor)).intact
        await engine.keys.create("ci", roles=["viewer"], actor="bo")
        assert (await engine.audit.verify(anchor)).intact, "it may grow"
        chains: Any = engine.store._chains  # type: ignore[attr-defined]
        chains._rows.clear()
        chains._heads.clear()
        assert any("are gone" in p for p in (await engine.audit.verify(anchor)).problems)
        for n in range(4):
            await engine.keys.create("ci", roles=["viewer"], actor=f"bob {n}")
        assert (await engine.audit.verify()).intact, "in itself it is"
        assert any("the anchor has another digest" in p for p in (await engine.audit.verify(anchor)).problems)
        for wrong in ("7", "x:" + "0" * 64, anchor[:-1]):
            with pytest.raises(BadRequest, match="no anchor"):
                await engine.audit.verify(wrong)
        assert Head().seq == 0
        assert await engine.store.acts(ActQuery(tenant="nobody")) == []

"""A program is the same against an engine and against a server: each of these runs on both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.access import Access
from stepkeel.access.key import Keys
from stepkeel.client import Client
from stepkeel.client.handle import RemoteInstance, RemoteTask
from stepkeel.client.keep import RemoteAudit, RemoteKeys
from stepkeel.engine.audit import Audit
from stepkeel.engine.instance import Instance
from stepkeel.engine.task import Task
from stepkeel.errors import (
    BadRequest,
    DataInvalid,
    InstanceEnded,
    InvalidTransition,
    NotAllowed,
    NotFound,
    RevisionChanged,
    TaskClosed,
    UnknownSignal,
    UnknownWorkflow,
)
from tests.api.place import Desk, Paid
from tests.flows import ChainFlow, Go, Job, WaitFlow, World

OWN = {"asgi", "close", "core", "elsewhere", "open", "register", "run"}  # of the process that has the engine
Both = Any


@pytest.fixture(params=["engine", "client"])
async def both(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Both]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine(url, [WaitFlow, ChainFlow, Desk], {World: World()}))
        if request.param == "engine":
            yield engine
            return
        key = (await engine.keys.create("front", roles=["admin"])).secret
        app = engine.asgi(access=Access(), writes_per_minute=None)
        yield await stack.enter_async_context(Client("http://localhost", key, transport=httpx2.ASGITransport(app=app)))


def verbs(kind: type) -> dict[str, set[str]]:
    """Public methods, each with the names of its parameters."""
    found = {n: f for n, f in inspect.getmembers(kind, inspect.isfunction) if not n.startswith("_")}
    return {n: set(inspect.signature(f).parameters) for n, f in found.items()}


@pytest.mark.parametrize(
    ("here", "there"), [(Engine, Client), (Instance, RemoteInstance), (Task, RemoteTask), (Keys, RemoteKeys), (Audit, RemoteAudit)]
)
def test_a_client_has_the_verbs_of_an_engine_with_their_options(here: type, there: type) -> None:
    own, other = verbs(here), verbs(there)
    assert set(other) == set(own) - OWN
    for name, parameters in other.items():
        if "filters" in own[name] or "options" in parameters:
            continue  # named in one place
        assert parameters == own[name], name


async def test_started_signalled_waited_for_and_read(both: Both) -> None:
    made = await both.start(WaitFlow, Job("a"), key="k", correlation_id="c", attributes={"region": "north", "n": 7}, priority=1)
    assert made.created
    again = await both.start("WaitFlow", {"name": "b"}, key="k")
    assert (again.id, again.created) == (made.id, False)
    assert (await made.wait(10, state=WaitFlow.ready)).data == Job("a")
    info = await made.get()
    assert (info.status, info.state, info.key, info.priority, info.tenant) == ("waiting", "ready", "k", 1, "default")
    assert info.attributes == {"region": "north", "n": 7}
    assert info.data == Job("a")
    assert (await made.wait(0.05)).timed_out
    receipt = await made.signal(Go("now"), key="s", wait=10)
    assert (receipt.status, receipt.key, receipt.duplicate) == ("processed", "s", False)
    assert (await both.signal(made.id, "Go", {"note": "late"}, key="s")).duplicate
    result = await made.wait(10)
    assert (result.status, result.data.note, result.timed_out) == ("completed", "now", False)
    assert (await both.instance(made.id, WaitFlow).wait(10, state="ready")).status == "completed", "it has been there"
    entries = await both.history(made.id)
    assert [e.revision for e in entries] == list(range(1, len(entries) + 1))
    assert entries[0].events[0].type == "instance_started" or entries[0].events
    assert [(s.name, s.status) for s in await both.signals(made.id)] == [("Go", "processed")]
    assert (await made.data(1))["note"] == ""
    assert (await both.explain(made.id)).why[0].kind == "ended"
    assert "<svg" in await both.diagram(made.id)
    with pytest.raises(InstanceEnded):
        await made.signal(Go())
    page = await both.list(attributes={"region": "north", "n": 7}, status=["completed"])
    assert [i.id for i in page.items] == [made.id]
    assert (await both.list(created_to=datetime(2020, 1, 1, tzinfo=UTC))).items == ()
    assert sum(m.count for m in await both.metrics() if m.status == "completed") == 1


async def test_lists_are_paged(both: Both) -> None:
    made = await both.start_many(WaitFlow, {f"k{n}": Job(str(n)) for n in range(5)})
    assert [m.created for m in made] == [True] * 5
    found, cursor = [], None
    while True:
        page = await both.list(definition="WaitFlow", limit=2, cursor=cursor)
        found += [i.id for i in page.items]
        if (cursor := page.cursor) is None:
            break
    assert sorted(found) == sorted(m.id for m in made)
    assert not (await both.start_many(WaitFlow, {"k1": Job("x")}))[0].created


async def test_what_is_wrong_is_the_same_error(both: Both) -> None:
    made = await both.start(WaitFlow, Job())
    await made.wait(10, state="ready")
    with pytest.raises(NotFound):
        await both.get("nowhere")
    with pytest.raises(NotFound):
        await both.get("../keys")
    with pytest.raises(UnknownWorkflow):
        await both.start("Nothing", {})
    with pytest.raises(DataInvalid):
        await both.start("WaitFlow", {"name": 7})
    with pytest.raises(DataInvalid):
        await both.start(WaitFlow, {"strange": 7})
    with pytest.raises(UnknownSignal, match="Gone"):
        await made.signal("Gone")
    with pytest.raises(DataInvalid):
        await made.signal("Go", {"note": 7})
    with pytest.raises(InvalidTransition) as raised:
        await made.resume()
    assert raised.value.remedy
    with pytest.raises(RevisionChanged):
        await made.at((await made.get()).revision + 1).pause()
    with pytest.raises(BadRequest):
        await both.list(limit=0)
    with pytest.raises(BadRequest):
        await both.list(sort="name")
    with pytest.raises(BadRequest):
        await both.purge()
    assert (await made.get()).status == "waiting"


async def test_operators_act(both: Both) -> None:
    made = await both.start(Desk, {"name": "x"})
    await made.wait(10, state="paying")
    assert (await made.pause(actor="änn", reason="stock", key="ä")).status == "processed"
    assert (await both.pause(made.id, key="ä")).duplicate
    assert (await both.history(made.id))[-1].actor == "änn"
    await made.set_data({"note": "y"})
    await both.resume(made.id)
    assert (await made.data())["note"] == "y"
    assert [t.path for t in await made.timers()] == ["paying!after"]
    other = await both.fork(made.id, {"note": "z"}, key="f")
    assert other.created
    assert not (await made.fork(key="f")).created
    await both.fire_timer(made.id, "paying!after")
    assert (await made.wait(10)).status == "completed"
    await made.archive(reason="done")
    assert (await made.get()).archived
    await both.set_state(other.id, "broken")
    assert (await other.wait(10)).failure.code == "permanent"
    letters = await both.dead_letters()
    assert [(d.definition, d.count) for d in letters] == [("Desk", 1)]
    assert (await both.redrive_all(dry_run=True)).done == (other.id,)
    assert await both.dead_letters(fingerprint=letters[0].fingerprint) == letters
    assert (await both.redrive_all(fingerprint="none", dry_run=True)).done == ()
    third = await both.start(Desk, {"name": "y"})
    await third.wait(10, state="paying")
    assert (await both.pause_all(definition="Desk", reason="all", actor="bo")).done == (third.id,)
    assert (await both.resume_all(definition="Desk")).done == (third.id,)
    assert (await both.signal_all(Paid("x"), definition="Desk", status=["waiting", "running"])).pending == (third.id,)
    assert (await third.wait(10)).status == "completed"
    assert await both.purge(status="completed", actor="ann") == 1
    assert await both.retire(older_than=timedelta(0), status=["failed"]) == 1
    report = await both.doctor()
    assert report.clean
    assert report.checked >= 0
    verbs = [e.verb for e in await both.audit.list(kind="instances")]
    assert verbs == ["purge", "archive"]
    assert (await both.audit.verify(await both.audit.head())).intact
    assert len([line async for line in both.audit.export()]) == len(await both.audit.list(limit=1_000))


async def test_people_act(both: Both) -> None:
    made = await both.start(Desk, {"name": "x"})
    await made.wait(10, state="paying")
    await made.set_state("lines")
    while not (page := await both.tasks(instance_id=made.id)).items:
        await asyncio.sleep(0.005)
    task = both.task(page.items[0].id)
    assert (await task.claim(actor="ann")).status == "processed"
    assert (await task.get()).claimed_by == "ann"
    with pytest.raises(NotAllowed):
        await task.approve(actor="bo")
    await task.comment("hm", actor="ann")
    await task.release(actor="ann")
    await task.reassign("bo", actor="ann")
    await task.approve("fine", actor="bo")
    with pytest.raises(TaskClosed) as raised:
        await task.approve(actor="bo")
    assert raised.value.details["by"] == "bo"
    assert (await both.tasks(instance_id=made.id, status=None)).items[0].status == "completed"
    await made.complete_node("lines/for_each")
    assert (await made.wait(10)).status == "completed"


async def test_keys_are_made_rotated_and_revoked(both: Both) -> None:
    made = await both.keys.create("ci", roles=["viewer"], scopes=["get_*"], ends_in=timedelta(days=90), actor="ann")
    assert made.secret.startswith("stepkeel_")
    assert (made.key.roles, made.key.scopes) == (("viewer",), ("get_*",))
    turned = await both.keys.rotate(made.key.id, overlap=timedelta(hours=1))
    assert turned.key.name == "ci"
    ended = await both.keys.revoke(turned.key.id, reason="it leaked")
    assert ended.ended
    assert (await both.keys.get(turned.key.id)).ended
    assert {k.id for k in await both.keys.list()} >= {made.key.id, turned.key.id}
    with pytest.raises(NotFound):
        await both.keys.get("none")
    with pytest.raises(BadRequest):
        await both.keys.create("ci", roles="viewer")
    assert (await both.throughput(spans=5)).items == ()
    with pytest.raises(BadRequest):
        await both.throughput(spans=0)
    with pytest.raises(BadRequest):
        await both.limits(limit=0)
    assert await both.limits() == await both.limits("none") == []
    assert await both.breakers() == []
    assert await both.close_breaker("none") is False
    assert await both.outbox() == []
    assert await both.forget_cached("none") == 0

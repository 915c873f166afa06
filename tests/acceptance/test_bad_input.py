"""Every boundary answers bad input with a typed error that says what, where and what to do; nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import apsw
import pytest

from stepkeel import Context, Engine, Settings, State, Workflow, activity
from stepkeel.errors import (
    BadRequest,
    DatabaseInvalid,
    DataInvalid,
    DefinitionChanged,
    SchemaTooNew,
    ServiceMissing,
    StepkeelError,
    Unavailable,
    UnknownWorkflow,
)
from tests.flows import FAST, Go, Job, WaitFlow


async def test_bad_data_is_refused_and_nothing_is_stored(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        for data in ({"nmae": "x"}, {"amount": "many"}, "text", 7, None, Job(amount="x"), {"log": [1]}):  # type: ignore[arg-type]
            with pytest.raises(DataInvalid) as caught:
                await engine.start(WaitFlow, data)  # type: ignore[arg-type]
            assert caught.value.code == "data_invalid"
            assert "Job" in str(caught.value)
        assert (await engine.list()).items == ()
        assert (await engine.start(WaitFlow, {"name": "fine"})).created


async def test_bad_options_are_refused(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        bad: list[dict[str, object]] = [
            {"key": ""}, {"key": "x" * 600}, {"key": 7}, {"priority": 5}, {"priority": "high"}, {"attributes": {"a": [1]}},
            {"correlation_id": ""},
        ]  # fmt: skip
        for options in bad:
            with pytest.raises(BadRequest):
                await engine.start(WaitFlow, Job(), **options)  # type: ignore[arg-type]
        job = await engine.start(WaitFlow, Job())
        with pytest.raises(BadRequest):
            await job.signal(Go(), key="")
        with pytest.raises(BadRequest):
            await job.pause(actor=7)  # type: ignore[arg-type]
        with pytest.raises(BadRequest):
            await engine.get(None)  # type: ignore[arg-type]


async def test_an_unknown_workflow_is_named_with_the_known_ones(url: str) -> None:
    async with Engine(url, [WaitFlow]) as engine:
        with pytest.raises(UnknownWorkflow, match="given: WaitFlow version 1"):
            await engine.start("Nowhere", {})
        with pytest.raises(UnknownWorkflow):
            await engine.start(WaitFlow, Job(), version=9)
        assert (await engine.start("WaitFlow", {"name": "by name"})).created


async def test_a_missing_service_is_named_with_activity_parameter_and_type() -> None:
    class Mailer(Protocol):
        async def send(self, text: str) -> None: ...

    class NoMailer:
        pass

    @activity
    async def mail(ctx: Context[Job], mailer: Mailer) -> None: ...

    class Flow(Workflow[Job]):
        a = State(mail)
        z = State.completed()
        a.to(z)

    with pytest.raises(ServiceMissing, match="activity mail: no service for mailer: Mailer"):
        Engine("memory://", [Flow])
    with pytest.raises(ServiceMissing, match="lacks send"):
        Engine("memory://", [Flow], {Mailer: NoMailer()})


@pytest.mark.parametrize("url", ["", "orders.db", "sqlite://orders.db", "mysql://x", "sqlite:///:memory:"])
def test_a_url_that_is_no_database_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Engine(url)
    assert caught.value.remedy


def test_a_password_in_a_url_never_shows() -> None:
    with pytest.raises(BadRequest) as caught:
        Engine("oracle://scott:tiger@host/db")
    assert "tiger" not in str(caught.value)


async def test_files_that_are_not_ours_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is no database at all, but it is long enough to look like a file" * 20)
    other = tmp_path / "other.db"
    db = apsw.Connection(str(other))
    db.execute("create table theirs (x)")
    db.close()
    before = other.read_bytes()
    with pytest.raises(DatabaseInvalid, match="no SQLite database"):
        await Engine(f"sqlite:///{text}").open()
    with pytest.raises(DatabaseInvalid, match=r"another program.*theirs"):
        await Engine(f"sqlite:///{other}").open()
    assert text.read_text().startswith("this is no database")
    db = apsw.Connection(str(other))
    assert [t for (t,) in db.execute("select name from sqlite_master")] == ["theirs"]
    assert before
    with pytest.raises(Unavailable, match="does not exist"):
        await Engine(f"sqlite:///{tmp_path}/missing/x.db").open()
    with pytest.raises(StepkeelError):
        await Engine(f"sqlite:///{tmp_path}").open()


async def test_a_schema_newer_than_the_program_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    async with Engine(url):
        pass
    db = apsw.Connection(str(tmp_path / "new.db"))
    db.pragma("user_version", 99)
    db.close()
    with pytest.raises(SchemaTooNew, match="schema 99"):
        await Engine(url).open()


def _flow(*, extra: bool = False, field: str = "", guard: int = 1) -> type[Workflow[object]]:
    if field:

        @dataclass
        class Data:
            name: str = ""
            amount: int = 0
            added: str = "x"

        if field == "required":
            Data.__annotations__.pop("added")

            @dataclass
            class Data:  # type: ignore[no-redef]
                must: int
                name: str = ""
                amount: int = 0
    else:

        @dataclass
        class Data:  # type: ignore[no-redef]
            name: str = ""
            amount: int = 0

    class Flow(Workflow[Data], name="Changing"):
        a = State[Data]()
        z = State.completed()
        if extra:
            b = State.completed()
            a.after(60, to=b)
        if guard == 1:
            a.on(Go, to=z, when=lambda d, s: d.amount >= 0)
        else:
            a.on(Go, to=z, when=lambda d, s: d.amount >= -1)

    return Flow


async def test_a_definition_changed_under_a_running_instance_is_refused_and_nothing_is_lost(url: str) -> None:
    async with Engine(url, [_flow()]) as engine:
        job = await engine.start("Changing", {"name": "x"})
        await job.wait(10, state="a")
    with pytest.raises(DefinitionChanged, match="state a") as caught:
        await Engine(url, [_flow(extra=True)]).open()
    assert "version=" in caught.value.remedy
    with pytest.raises(DefinitionChanged, match="must is new and has no default"):
        await Engine(url, [_flow(field="required")]).open()
    with pytest.raises(DefinitionChanged, match="guards or mappings"):
        await Engine(url, [_flow(guard=2)], strict=True).open()
    async with Engine(url, [_flow(field="default", guard=2)]) as engine:
        assert (await engine.instance(job.id).signal("Go", {}, wait=10)).status == "processed"
        assert "code_changed" in [e.type for h in await engine.history(job.id) for e in h.events]
    async with Engine(url, [_flow(extra=True)]):
        pass  # nothing lives on it any more: replaced


async def test_versions_stand_side_by_side_and_each_instance_stays_on_its_own(url: str) -> None:
    class One(Workflow[Job], name="Versioned", version=1):
        a = State[Job]()
        old = State.completed()
        a.on(Go, to=old)

    class Two(Workflow[Job], name="Versioned", version=2):
        a = State[Job]()
        new = State.completed()
        a.on(Go, to=new)

    class Copy(Workflow[Job], name="Versioned", version=1):
        z = State.completed()

    async with Engine(url, [One, Two]) as engine:
        first = await engine.start("Versioned", Job(), version=1)
        second = await engine.start("Versioned", Job())
        for job in (first, second):
            await job.signal("Go", wait=10)
        assert ((await first.wait(10)).state, (await second.wait(10)).state) == ("old", "new")
    with pytest.raises(BadRequest, match="two workflows"):
        Engine(url, [One, Copy])


async def test_a_closed_engine_says_so() -> None:
    engine = Engine("memory://", [WaitFlow])
    with pytest.raises(BadRequest, match="not open"):
        await engine.start(WaitFlow, Job())


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(BadRequest):
        Settings(concurrency=0)
    with pytest.raises(BadRequest):
        Settings(lease=1, margin=2)
    assert FAST.lease < Settings().lease

"""The command line as a person and a script see it: output, JSON, exit codes, one-line errors."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepkeel import Engine, Keyring
from stepkeel.cli.main import main
from tests import postgres
from tests.flows import ChainFlow, Job, OrderFlow, WaitFlow, World

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'cli.db'}"


@pytest.fixture
def run(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("STEPKEEL_DATABASE", url)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def fill(url: str) -> dict[str, str]:
    """One waiting, one completed, one failed instance; their ids."""

    async def work() -> dict[str, str]:
        async with Engine(url, [WaitFlow, ChainFlow, OrderFlow], {World: World()}) as engine:
            waiting = await engine.start(WaitFlow, Job("w"), key="w", attributes={"region": "north"})
            done = await engine.start(ChainFlow, Job("d"))
            failed = await engine.start(ChainFlow, Job("f", note="explode"))
            await waiting.wait(10, state="ready")
            await done.wait(10)
            await failed.wait(10)
            return {"waiting": waiting.id, "done": done.id, "failed": failed.id}

    return asyncio.run(work())


def test_looking_at_instances(run: Run, url: str) -> None:
    ids = fill(url)
    code, out, _ = run("list", "--json")
    assert code == 0
    assert [i["status"] for i in json.loads(out)["items"]] == ["waiting", "completed", "failed"]
    code, out, _ = run("list", "--status", "waiting", "--attribute", "region=north")
    assert ids["waiting"] in out
    assert ids["done"] not in out
    assert [len(json.loads(run("list", "--json", said)[1])["items"]) for said in ("--fault", "--no-fault")] == [0, 3]
    code, out, _ = run("show", ids["waiting"])
    assert code == 0
    assert "WaitFlow" in out
    code, out, _ = run("show", ids["failed"], "--json")
    assert code == 1, "the instance failed"
    assert json.loads(out)["failure"]["code"] == "ValueError"
    code, out, _ = run("history", ids["done"])
    assert "activity_completed" in out
    assert "work/reserve" in out
    assert json.loads(run("history", ids["done"], "--json")[1])[0]["events"][0]["type"] == "created"
    code, out, _ = run("explain", ids["waiting"])
    assert "WaitFlow version 1 is not known to this program" in out


def test_acting_on_instances_without_their_code(run: Run, url: str) -> None:
    ids = fill(url)
    assert run("pause", ids["waiting"], "--actor", "ann", "--reason", "audit")[0] == 0
    assert json.loads(run("show", ids["waiting"], "--json")[1])["status"] == "paused"
    assert "paused by ann" in run("explain", ids["waiting"])[1]
    assert run("resume", ids["waiting"])[0] == 0
    code, out, _ = run("signal", ids["waiting"], "Go", '{"note": "from the shell"}', "--key", "k", "--json")
    assert (code, json.loads(out)["status"]) == (0, "pending")
    code, _, err = run("signal", ids["waiting"], "Go", '{"nte": 1}')
    assert (code, "no field nte" in err) == (2, True)
    code, _, err = run("signal", ids["waiting"], "Gone")
    assert (code, "did you mean Go?" in err) == (2, True)
    code, _, err = run("signal", ids["waiting"], "Go", "{note")
    assert (code, "no JSON" in err) == (2, True)
    assert run("redrive", ids["failed"])[0] == 4, "something was undone"
    code, _, err = run("fire-timer", ids["waiting"], "ready!after")
    assert (code, "no timer at ready!after; there are: none" in err) == (4, True)
    code, _, err = run("set-data", ids["waiting"], "[1]")
    assert (code, "a mapping of fields" in err) == (2, True)
    code, _, err = run("add-items", ids["waiting"], "ready/lines", '"ab"')
    assert (code, "a list of items" in err) == (2, True)
    code, _, err = run("set-state", ids["waiting"], "nowhere")
    assert (code, "no state nowhere that may be set; there are: ready, done" in err) == (4, True)
    assert run("release", ids["waiting"])[0] == 4, "no worker holds it"
    assert run("set-state", ids["waiting"], "ready", "--no-body", "--actor", "ann")[:2] == (0, "set_state: processed\n")
    for verb in ("cancel-node", "complete-node"):
        assert run(verb, ids["done"], "ready/wait")[0] == 4, "it has ended"
    assert run("cancel", ids["waiting"], "--reason", "no more")[0] == 0
    assert json.loads(run("show", ids["waiting"], "--json")[1])["status"] == "cancelled"
    assert run("archive", ids["waiting"])[0] == 0
    assert run("terminate", ids["done"])[0] == 4
    assert run("purge", "--status", "completed")[1].strip() == "purged 1"
    assert run("purge", "--archived", "--definition", "WaitFlow")[1].strip() == "purged 1"
    assert run("doctor")[0] == 0


def test_exit_codes_and_one_line_errors(run: Run, url: str, tmp_path: Path) -> None:
    fill(url)
    for code, arguments in (
        (2, ["purge"]),
        (2, ["list", "--status", "asleep"]),
        (2, ["list", "--created-from", "yesterday"]),
        (2, ["lst"]),
        (2, ["show"]),
        (3, ["show", "nothing"]),
        (3, ["cancel", "nothing"]),
        (5, ["list", "--database", f"sqlite:///{tmp_path / 'missing.db'}"]),
        (5, ["list", "--database", f"sqlite:///{Path(__file__)}"]),
        (2, ["list", "--database", "nonsense"]),
        (2, ["graph", "nowhere:Nothing"]),
        (2, ["graph", "tests.flows:World"]),
        (2, ["bench", "nothing"]),
    ):
        got, out, err = run(*arguments)
        assert got == code, (arguments, out, err)
        assert "Traceback" not in out + err
    _, _, err = run("show", "nothing", "--json")
    assert json.loads(err)["code"] == "not_found"


def test_no_database_named_is_a_usage_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPKEEL_DATABASE")
    code, _, err = run("list")
    assert (code, "which database?" in err) == (2, True)


@pytest.mark.corrupts
def test_doctor_tells_violations_by_exit_code(run: Run, url: str) -> None:
    import apsw

    ids = fill(url)
    db = apsw.Connection(url.removeprefix("sqlite:///"))
    db.execute("update instances set wake_at = null, inbox = 5 where id = ?", (ids["waiting"],))
    db.execute("delete from history where instance_id = ? and revision = 2", (ids["done"],))
    db.close()
    code, out, _ = run("doctor", "--json")
    found = {f["kind"] for f in json.loads(out)["findings"] if f["violation"]}
    assert code == 1
    assert {"unread_inbox", "fold_matches", "times_increase"} <= found
    code, out, _ = run("doctor", "--fix")
    assert (code, "due at once" in out, "1 repaired" in out) == (1, True, True), "what cannot be repaired still counts"
    assert run("doctor", "--overdue", "-1")[0] == 2


def test_what_is_encrypted_is_shown_to_who_has_the_keyring_and_refused_to_others(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"one:{'A' * 43}="

    async def work() -> str:
        async with Engine(url, [WaitFlow], keyring=Keyring.read(line)) as engine:
            started = await engine.start(WaitFlow, Job("heron"))
            await started.wait(10, state="ready")
            return started.id

    id = asyncio.run(work())
    code, out, err = run("show", id)
    assert (code, out) == (5, "")
    assert "cannot be read with the key one" in err
    assert run("db", "check")[0] == 0, "which reads no instance"
    monkeypatch.setenv("STEPKEEL_KEYRING", line)
    code, out, _ = run("show", id, "--json")
    assert (code, json.loads(out)["data"]["name"]) == (0, "heron")
    assert run("doctor")[0] == 0
    assert line.partition(":")[2] not in run("config", "show", "--origin")[1]


def test_the_audit_log_is_read_checked_and_taken_elsewhere(run: Run, url: str) -> None:
    ids = fill(url)
    assert run("cancel", ids["waiting"], "--actor", "ann", "--reason", "sold out")[0] == 0
    code, out, _ = run("audit", "list", "--actor", "ann")
    assert code == 0
    assert all(text in out for text in ("cancel", ids["waiting"], "sold out"))
    code, head, _ = run("audit", "head")
    code, out, _ = run("audit", "verify", "--anchor", head.strip())
    assert (code, "intact" in out) == (0, True)
    lines = run("audit", "export")[1].splitlines()
    assert json.loads(lines[-1])["reason"] == "sold out"
    assert run("audit", "verify", "--anchor", "7")[0] == 2
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with connection:
        connection.execute("update audit set entry = replace(cast(entry as text), 'ann', 'bob') where actor = 'ann'")
    connection.close()
    code, out, _ = run("audit", "verify")
    assert (code, "was changed" in out, "NOT intact" in out) == (1, True, True)
    assert json.loads(run("audit", "verify", "--json")[1])["intact"] is False


def test_graph_prints_mermaid(run: Run) -> None:
    code, out, _ = run("graph", "tests.flows:OrderFlow")
    assert code == 0
    assert out.startswith("stateDiagram-v2")
    assert json.loads(run("graph", "tests.flows:OrderFlow", "--json")[1])["initial"] == "begin"


@pytest.mark.parametrize("name", ["order", "latency", "signal", "sleepers", "items", "branches"])
def test_bench_verifies_and_prints_one_json_object(name: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "stepkeel"), "bench", name, "--database", f"sqlite:///{tmp_path / 'b.db'}"]
    done = subprocess.run([*command, "--instances", "60", "--json"], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    assert (result["bench"], result["store"], result["instances"]) == (name, "sqlite", 60)
    again = subprocess.run([*command, "--instances", "60", "--json"], capture_output=True, text=True, check=False)
    if name in ("order", "latency", "signal"):
        assert again.returncode != 0, "a database that holds an earlier run is refused"
        assert "use a new database" in again.stderr


def test_a_worker_is_told_what_is_wrong_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for target, said in (
        ("nonsense", "names no engine"),
        ("tests.nowhere:engine", "cannot be imported"),
        ("tests.flows:nobody", "has no engine nobody"),
        ("tests.flows:FAST", "is Settings, not an Engine"),
    ):
        code, out, err = run("worker", target)
        assert (code, out) == (2, "")
        assert said in err
    assert run("worker", "tests.flows:World", "--log-level", "loud")[0] == 2


def test_a_databases_tables_are_made_looked_at_and_never_made_by_looking(run: Run, url: str) -> None:
    assert run("db", "check")[0] == 5
    assert not Path(url.removeprefix("sqlite:///")).exists()
    code, out, _ = run("db", "upgrade", "--json")
    assert (code, json.loads(out)["before"]) == (0, 0)
    code, out, _ = run("db", "check", "--json")
    assert code == 0
    assert {"schema", "journal_mode", "size"} <= {r["name"] for r in json.loads(out)["remarks"]}
    assert "nothing to do" in run("db", "upgrade")[1]


def test_a_postgresql_without_our_tables_is_told_from_one_with_them(run: Run) -> None:
    with postgres.fresh_schema() as place:
        code, _, err = run("list", "--database", place)
        assert code == 5
        assert "has no tables of ours" in err
        assert run("db", "upgrade", "--database", place)[0] == 0
        assert run("list", "--database", place)[0] == 0
        code, out, _ = run("db", "check", "--database", place, "--json")
        remarks = {r["name"]: r for r in json.loads(out)["remarks"]}
        assert remarks["fsync"]["advice"] == ("" if remarks["fsync"]["value"] == "on" else remarks["fsync"]["advice"])
        assert code == (1 if any(r["advice"] for r in remarks.values()) else 0)
        assert int(remarks["archive"]["value"].split()[0]) == 14
    code, _, err = run("list", "--database", "postgresql://ann:secret@127.0.0.1:1/x")
    assert code == 5
    assert "secret" not in err
    assert "postgresql://ann:***@127.0.0.1:1/x" in err


def test_dead_letters_and_breakers(run: Run, url: str) -> None:
    ids = fill(url)
    code, out, _ = run("dead-letters", "--json")
    (group,) = json.loads(out)
    assert (code, group["code"], group["count"], group["latest"]) == (0, "ValueError", 1, ids["failed"])
    assert "ValueError" in run("dead-letters")[1]
    assert run("redrive-all", "--code", "ValueError", "--dry-run")[:2] == (0, "1 would be redriven\n")
    code, out, _ = run("redrive-all", "--definition", "ChainFlow", "--actor", "ann")
    assert (code, "1 refused" in out, "say from which state" in out) == (1, True, True)
    code, out, _ = run("redrive-all", "--from-state", "nowhere", "--json")
    assert (code, "no state nowhere that may be set; there are: work, done" in out) == (1, True), "its outline is known"
    code, out, _ = run("fork", ids["failed"], '{"note": ""}', "--from", "work", "--key", "again", "--json")
    made = json.loads(out)
    assert (code, made["created"]) == (0, True)
    assert run("fork", ids["failed"], "--from", "work", "--key", "again")[:2] == (0, f"{made['id']}\n")
    assert json.loads(run("show", made["id"], "--json")[1])["data"]["note"] == ""
    code, _, err = run("fork", ids["failed"], '{"nte": 1}', "--from", "work")
    assert (code, "no field nte" in err) == (2, True)
    assert run("redrive", ids["failed"], "--from", "work/ship")[0] == 4, "behind what was undone"
    assert run("redrive", ids["failed"], "--from", "work/reserve", "--actor", "ann")[:2] == (0, "redrive: processed\n")
    assert run("limits", "--json")[:2] == run("limits", "bank", "--json")[:2] == (0, "[]\n")
    assert run("breakers", "--json")[:2] == (0, "[]\n")
    assert run("breakers", "--close", "cards")[:2] == (1, "cards is not open\n")


SAGA = """name: small
input: {properties: {word: {type: string}, said: {type: string, default: ""}}, required: [word], additionalProperties: false}
output: {said: "{{ steps.say.output }}"}
steps:
  - {name: say, uses: say, with: "{{ input.word }}"}
"""
SAYING = """from typing import Any
from stepkeel import Context, Fail, activity

@activity
async def say(ctx: Context[Any, str]) -> str:
    \"\"\"Says it.\"\"\"
    if ctx.input == "no":
        raise Fail("REFUSED", "it says no")
    return ctx.input.upper()
"""


def test_documents_are_checked_drawn_and_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "small.yaml").write_text(SAGA)
    (tmp_path / "bad.yaml").write_text(SAGA.replace("uses: say", "uses: sy"))
    (tmp_path / "saying.py").write_text(SAYING)
    (tmp_path / "word.json").write_text('{"word": "hello"}')
    given = ("-a", "saying")
    assert run("validate", "small.yaml", *given) == (0, "small.yaml: small version 1, nothing is wrong\n", "")
    code, out, _ = run("validate", "small.yaml", "bad.yaml", "none.yaml", *given)
    assert code == 1
    assert "bad.yaml:5:17 steps[0].uses: there is no activity sy [unknown_activity] -> did you mean say?" in out
    assert "none.yaml cannot be read" in out
    code, out, _ = run("validate", "bad.yaml", *given, "--json")
    assert [p["code"] for p in json.loads(out)["bad.yaml"]] == ["unknown_activity"]
    code, out, _ = run("simulate", "small.yaml", *given, "--seeds", "20", "--json")
    assert (code, json.loads(out)[0]["broken"], set(json.loads(out)[0]["statuses"]) >= {"completed"}) == (0, [], True)
    code, out, _ = run("run", "small.yaml", "--input", "@word.json", *given, "--json")
    assert (code, json.loads(out)["status"], json.loads(out)["data"]["said"]) == (0, "completed", "HELLO")
    code, out, _ = run("run", "small.yaml", "--input", '{"word": "no"}', *given)
    assert code == 1
    assert "small failed: REFUSED: it says no (at saga/steps:say/say)" in out
    code, _, err = run("run", "small.yaml", "--input", '{"wrd": "no"}', *given)
    assert code == 2
    assert "'wrd' was unexpected" in err
    assert "saga__steps__say" in run("graph", "small.yaml", *given)[1]
    assert run("graph", "small.yaml", *given, "--format", "svg")[1].startswith("<svg")
    assert json.loads(run("graph", "small.yaml", *given, "--format", "json")[1])["name"] == "small"
    schema = json.loads(run("schema")[1])
    assert (schema["then"]["required"], schema["else"]["required"]) == (["name", "states"], ["name", "steps"])
    listed = {each.pop("name"): each for each in json.loads(run("activities", *given, "--json")[1])}
    assert listed["say"] == {"given": "str", "for": "Says it.", "input": {"type": "string"}}
    assert {"http.request", "email.send", "sql.query", "sql.execute", "file.read", "file.write"} <= listed.keys()
    assert "url" in str(listed["http.request"]["input"])
    assert run("validate")[0] == 2


def test_the_schema_of_documents_takes_what_load_takes(run: Run) -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    from stepkeel.document.source import read_source

    check = jsonschema_rs.validator_for(json.loads(run("schema")[1]))
    for file in ("payment_saga/payment_saga.yaml", "etl/etl.yaml"):
        check.validate(read_source(Path(__file__).parents[2] / "examples" / file).data)
    assert not check.is_valid({"name": "x", "steps": [{"name": "a", "uses": "b", "retry": {"atempts": 3}}]})


def test_two_documents_are_compared(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "saying.py").write_text(SAYING)
    (tmp_path / "a.yaml").write_text(SAGA)
    (tmp_path / "b.yaml").write_text(SAGA.replace("input.word", "input.said"))
    (tmp_path / "c.yaml").write_text(SAGA + '  - {name: again, uses: say, with: "{{ steps.say.output }}"}\n')
    given = ("-a", "saying")
    assert run("diff", "a.yaml", "a.yaml", *given) == (0, "no difference\n", "")
    code, out, _ = run("diff", "a.yaml", "b.yaml", *given)
    place = "states/saga/body/steps/steps/say/body/say/given"
    assert (code, out.splitlines()[0]) == (1, f"~ {place}: {{{{ input.word }}}} -> {{{{ input.said }}}}")
    assert "the shape is the same" in out
    code, out, _ = run("diff", "a.yaml", "c.yaml", *given)
    assert (code, out) == (1, "+ states/saga/body/steps/steps/again\nanother shape: give it another version\n")
    told = json.loads(run("diff", "b.yaml", "a.yaml", *given, "--json")[1])
    assert (told["same_shape"], told["same_code"], told["differences"][0]["code"]) == (True, False, True)

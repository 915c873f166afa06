"""Flags win over the environment, that over stepkeel.toml, that over defaults; what nobody knows is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stepkeel.cli.main import main
from stepkeel.config.known import KNOWN
from stepkeel.config.read import read_config
from stepkeel.errors import BadRequest
from stepkeel.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = """
database = "sqlite:///file.db"
[worker]
concurrency = 7
archive_after = "30d"
[serve]
port = 9000
"""


def test_the_first_that_says_it_wins(tmp_path: Path) -> None:
    (tmp_path / "stepkeel.toml").write_text(FILE)
    config = read_config({"STEPKEEL_SERVE_PORT": "9001", "STEPKEEL_WORKER_LEASE": "2m"}, tmp_path)
    assert config.get("serve.port", 9002) == 9002
    assert (config.get("serve.port"), config.said["serve.port"].origin) == (9001, "STEPKEEL_SERVE_PORT")
    assert (config.get("database"), config.said["database"].origin) == ("sqlite:///file.db", "stepkeel.toml")
    assert (config.get("serve.host"), config.said["serve.host"].origin) == ("127.0.0.1", "default")
    made = config.settings(Settings(concurrency=3, patience=4, audit_every=None))
    assert (made.concurrency, made.lease, made.archive_after) == (7, 120.0, 30 * 86_400.0)
    assert (made.patience, made.audit_every) == (4, None), "what code says stays where nobody says otherwise"
    assert config.settings(Settings(), 9).concurrency == 9


def test_a_choice_is_taken_however_it_is_written(tmp_path: Path) -> None:
    assert read_config({"STEPKEEL_LOG_FORMAT": "JSON"}, tmp_path).get("log.format") == "json"


def test_a_secret_comes_from_a_file_and_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "database"
    secret.write_text("postgresql://shop:hunter2@db/shop\n")
    config = read_config({"STEPKEEL_DATABASE_FILE": str(secret)}, tmp_path)
    assert config.database() == "postgresql://shop:hunter2@db/shop"
    assert config.said["database"].origin == f"STEPKEEL_DATABASE_FILE ({secret})"
    with pytest.raises(BadRequest, match="are two"):
        read_config({"STEPKEEL_DATABASE_FILE": str(secret), "STEPKEEL_DATABASE": "memory://"}, tmp_path)
    with pytest.raises(BadRequest, match="No such file"):
        read_config({"STEPKEEL_DATABASE_FILE": str(tmp_path / "none")}, tmp_path)


def test_a_keyring_comes_from_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keyring"
    file.write_text(f"two:{'B' * 43}=\none:{'A' * 43}=\n")
    ring = read_config({"STEPKEEL_KEYRING_FILE": str(file)}, tmp_path).keyring()
    assert repr(ring) == "Keyring(one, two)"
    assert read_config({}, tmp_path).keyring() is None
    with pytest.raises(BadRequest, match="key 1 is not name:base64") as caught:
        read_config({"STEPKEEL_KEYRING": "one:secretsecret"}, tmp_path).keyring()
    assert "secretsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told", "remedy"),
    [
        ("databse = 'x'", "there is no setting databse", "did you mean database?"),
        ("[serve]\nprot = 1", "there is no setting serve.prot", "did you mean serve.port?"),
        ("[worker]\nheartbeat = false", "there is no setting worker.heartbeat", ""),
        ("[serve]\nport = '80 80'", "serve.port: '80 80' is no whole number", "0, 1, 2"),
        ("[serve]\nport = true", "serve.port: True is no whole number", ""),
        ("[serve]\nport = -1", "serve.port: -1 is no whole number", ""),
        ("[worker]\nlease = 'soon'", "worker.lease: 'soon' is no span", "90d, 12h"),
        ("[worker]\nlease = 'never'", "worker.lease: 'never' is no span", ""),
        ("[log]\nformat = 'xml'", "log.format: 'xml' is no choice", "text, json"),
        ("[serve]\ntrust_network = 'perhaps'", "is no flag", "true or false"),
        ("tenant = 7", "tenant: 7 is no text", ""),
        ("database = 7", "database: its value is no text", ""),
        ("database = ", "Invalid value", "TOML"),
    ],
)
def test_what_a_file_says_wrongly_is_told(text: str, told: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "stepkeel.toml").write_text(text)
    with pytest.raises(BadRequest, match=re.escape(told)) as raised:
        read_config({}, tmp_path)
    assert remedy in raised.value.remedy
    assert "stepkeel.toml" in str(raised.value)


def test_never_is_a_span_where_there_may_be_none(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[worker]\naudit_every = 'never'\narchive_after = 1.5\n")
    config = read_config({"STEPKEEL_CONFIG": str(tmp_path / "other.toml")}, Path("/nowhere"))
    made = config.settings(Settings())
    assert (made.audit_every, made.archive_after) == (None, 1.5)
    with pytest.raises(BadRequest, match="No such file"):
        read_config({"STEPKEEL_CONFIG": str(tmp_path / "none.toml")}, tmp_path)


def test_a_variable_that_is_nearly_one_of_ours_is_refused_and_others_are_left_alone(tmp_path: Path) -> None:
    for variable, meant in (("DATABSE", "DATABASE"), ("WORKER_CONCURENCY", "WORKER_CONCURRENCY")):
        with pytest.raises(BadRequest, match=f"no setting STEPKEEL_{variable}") as raised:
            read_config({f"STEPKEEL_{variable}": "x"}, tmp_path)
        assert raised.value.remedy == f"did you mean STEPKEEL_{meant}?"
    made_by_kubernetes = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP_ADDR")
    assert read_config({f"STEPKEEL_{name}": "tcp://10.0.0.1:8080" for name in made_by_kubernetes}, tmp_path)
    assert read_config({"STEPKEEL_TEST_POSTGRES": "x", "OTHER": "y"}, tmp_path)


def test_the_page_lists_every_setting() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_.]+)` \| `STEPKEEL_", page, re.M)) == set(KNOWN)
    for known in KNOWN.values():
        assert f"| `{known.name}` | `{known.variable}` |" in page


def test_config_show_tells_values_and_who_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPKEEL_DATABASE", "postgresql://shop:hunter2@db/shop")
    (tmp_path / "stepkeel.toml").write_text("[serve]\nport = 9000\n")
    assert main(["config", "show", "--json"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out)
    assert "hunter2" not in out
    assert told["database"]["value"] == "postgresql://shop:***@db/shop"
    assert (told["serve.port"]["value"], told["serve.port"]["origin"]) == (9000, "stepkeel.toml")
    assert told["worker.archive_after"]["value"] == "never"
    assert main(["config", "show", "--origin"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in ("STEPKEEL_DATABASE", "stepkeel.toml", "default"))
    (tmp_path / "stepkeel.toml").write_text("[serve]\nprot = 9000\n")
    assert main(["list"]) == 2
    assert "did you mean serve.port?" in capsys.readouterr().err


def test_a_command_takes_database_and_tenant_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "stepkeel.toml").write_text('database = "sqlite:///here.db"\ntenant = "acme"\n')
    program = "from stepkeel.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    made = [sys.executable, "-c", program, "key", "create", "ci", "--role", "viewer"]
    environ = {"PATH": ""}
    refused = subprocess.run(made, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, "no such file" in refused.stderr) == (5, True), "looking makes no database"
    subprocess.run([sys.executable, "-c", program, "db", "upgrade"], cwd=tmp_path, env=environ, check=True, timeout=60)
    subprocess.run(made, cwd=tmp_path, env=environ, check=True, capture_output=True, timeout=60)
    listed = subprocess.run(
        [sys.executable, "-c", program, "audit", "list", "--json"],
        cwd=tmp_path, env=environ, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert [e["verb"] for e in json.loads(listed.stdout)] == ["make"]
    assert (tmp_path / "here.db").exists()

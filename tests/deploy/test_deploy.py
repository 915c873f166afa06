"""What the files under deploy/ say is what can be run: the same commands, probes and settings, on a database of our own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stepkeel.config.known import KNOWN
from stepkeel.runtime.settings import Settings
from tests import postgres

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROGRAM = [sys.executable, "-c", "from stepkeel.cli.main import run; run()"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
OBJECTS: dict[str, Any] = {
    f"{o['kind']}/{o['metadata']['name']}": o for o in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
}
IMAGE = dict(re.findall(r"(STEPKEEL_\w+)=(\S+)", DOCKERFILE))


def pod(name: str) -> dict[str, Any]:
    return OBJECTS[name]["spec"]["template"]["spec"]


def container(name: str) -> dict[str, Any]:
    return pod(name)["containers"][0]


def test_the_image_holds_what_there_is_and_runs_as_nobody() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = project["tool"]["hatch"]["build"]["hooks"]["custom"]["path"]
    assert f"COPY {hook} " in DOCKERFILE, "the package is not built without it"
    assert re.search(r"^USER 10001$", DOCKERFILE, re.M)
    assert re.search(r'^ENTRYPOINT \["stepkeel"\]$', DOCKERFILE, re.M)


def test_every_setting_that_they_name_is_one() -> None:
    named = {*IMAGE, *COMPOSE["services"]["api"]["environment"]}
    for name in ("Job/stepkeel-upgrade", "Deployment/stepkeel-api", "Deployment/stepkeel-worker"):
        named |= {e["name"] for e in container(name)["env"]}
    known = {k.variable for k in KNOWN.values()}
    assert {n.removesuffix("_FILE") for n in named} <= known
    assert "STEPKEEL_DATABASE_FILE" in named


def test_both_files_start_the_same() -> None:
    services = COMPOSE["services"]
    for service, name in (
        ("upgrade", "Job/stepkeel-upgrade"),
        ("api", "Deployment/stepkeel-api"),
        ("worker", "Deployment/stepkeel-worker"),
    ):
        assert services[service]["command"] == container(name)["args"]
    for waiting in ("api", "worker"):
        assert services[waiting]["depends_on"] == {"upgrade": {"condition": "service_completed_successfully"}}


def test_whoever_is_told_to_stop_is_given_longer_than_it_takes() -> None:
    grace = Settings().grace
    assert float(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("s")) > grace
    for name in ("Deployment/stepkeel-api", "Deployment/stepkeel-worker"):
        assert pod(name)["terminationGracePeriodSeconds"] > grace
        assert pod(name)["enableServiceLinks"] is False
        assert OBJECTS[name]["spec"]["selector"]["matchLabels"] == OBJECTS[name]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS["Service/stepkeel-api"]["spec"]["selector"] == {"app": "stepkeel-api"}


def test_the_signal_for_scaling_is_one_that_the_api_tells() -> None:
    told = (ROOT / "src/stepkeel/api/routes/watch.py").read_text(encoding="utf-8")
    query = OBJECTS["ScaledObject/stepkeel-worker"]["spec"]["triggers"][0]["metadata"]["query"]
    found = re.search(r"\((\w+)\)", query)
    assert found is not None
    assert f'"{found[1]}"' in told


@contextlib.contextmanager
def running(arguments: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*PROGRAM, *arguments], cwd=DEPLOY, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until(address: str) -> int:
    """Until the probe says yes."""
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.status
        except (OSError, urllib.error.URLError):
            assert time.monotonic() < end, f"{address} does not answer"
            time.sleep(0.05)


def ask(address: str, key: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=10) as answer:
        return json.loads(answer.read())


def probes(name: str) -> list[str]:
    one = container(name)
    return [one[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the image and the manifests say, with a database and ports of our own."""
    with postgres.fresh_schema() as url:
        (tmp_path / "database").write_text(url)
        own = {k: v for k, v in os.environ.items() if k.startswith("PYTHON") or k in ("PATH", "HOME")}
        yield {
            **own, **IMAGE, "STEPKEEL_DATABASE_FILE": str(tmp_path / "database"), "STEPKEEL_SERVE_HOST": "127.0.0.1",
            "STEPKEEL_SERVE_PORT": str(postgres.free_port()), "STEPKEEL_WORKER_HEALTH": f"127.0.0.1:{postgres.free_port()}",
        }  # fmt: skip


def test_what_the_manifests_start_works_together_and_ends_when_told(env: dict[str, str]) -> None:
    upgrade = container("Job/stepkeel-upgrade")["args"]
    subprocess.run([*PROGRAM, *upgrade], cwd=DEPLOY, env=env, check=True, capture_output=True, timeout=60)
    made = subprocess.run(
        [*PROGRAM, "key", "create", "admin", "--role", "admin"], cwd=DEPLOY, env=env, check=True, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    key = made.stdout.split()[0]
    api = f"http://127.0.0.1:{env['STEPKEEL_SERVE_PORT']}"
    with running(container("Deployment/stepkeel-api")["args"], env) as serving:
        assert [until(api + path) for path in probes("Deployment/stepkeel-api")] == [200, 200]
        begun = ask(f"{api}/api/v1/instances", key, {"definition": "Purchasing", "data": {"what": "chairs", "amount": 4}})
        assert ask(f"{api}/api/v1/workers", key)["items"] == [], "the API alone runs nothing"
        with running(container("Deployment/stepkeel-worker")["args"], env) as working:
            health = f"http://{env['STEPKEEL_WORKER_HEALTH']}"
            assert [until(health + path) for path in probes("Deployment/stepkeel-worker")] == [200, 200]
            end = time.monotonic() + 20
            while not (tasks := ask(f"{api}/api/v1/tasks", key)["items"]):
                assert time.monotonic() < end
                time.sleep(0.05)
            ask(f"{api}/api/v1/tasks/{tasks[0]['id']}/complete", key, {"payload": {"approved": True}})
            while ask(f"{api}/api/v1/instances/{begun['id']}", key)["status"] != "completed":
                assert time.monotonic() < end
                time.sleep(0.05)
            for process in (working, serving):
                process.send_signal(signal.SIGTERM)
            assert working.wait(20) == 0
            assert serving.wait(20) in (0, -signal.SIGTERM)

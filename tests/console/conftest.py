"""A real `stepkeel serve` on a real database, and the browser of the machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.console.site import built
from tests import postgres
from tests.access.provider import Provider, running
from tests.console.shop import Waiting
from tests.processes import end, first_line

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ROLES = ("viewer", "approver", "operator", "admin")


def _missing(what: str) -> None:
    """On a machine of one's own it is left out, and says so; where everything is to be proved it has failed."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@dataclass
class Shop:
    """A server, and a key for each role."""

    at: str
    keys: dict[str, str]
    mended: Path
    provider: Provider

    def ask(self, role: str, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        told = {"Authorization": f"Bearer {self.keys[role]}", **headers}
        return httpx2.request(method, f"{self.at}/api/v1{path}", json=body, headers=told, timeout=20)

    def start(self, definition: str, name: str, **more: Any) -> str:
        answer = self.ask("admin", "POST", "/instances", {"definition": definition, "data": {"name": name}, **more})
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def until(self, id: str, status: str) -> None:
        for _ in range(20):
            found = self.ask("admin", "GET", f"/instances/{id}/wait?outcome=failed&seconds=0.2").json()
            if found["status"] == status:
                return
        raise AssertionError(found)


async def _keys(url: str) -> dict[str, str]:
    async with Engine(url, [Waiting], worker=False) as engine:
        made = {role: (await engine.keys.create(role, roles=[role])).secret for role in ROLES}
        made["everywhere"] = (await engine.keys.create("everywhere", roles=["admin"], any_tenant=True)).secret
        return made


@contextmanager
def serving(folder: Path, kind: str = "sqlite") -> Iterator[Shop]:
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'shop.db'}" if kind == "sqlite" else stack.enter_context(postgres.fresh_schema())
        provider = stack.enter_context(running())
        provider.now = lambda: int(time.time())
        with ThreadPoolExecutor(1) as aside:  # the browser's driver has a loop in this thread
            keys = aside.submit(lambda: asyncio.run(_keys(url))).result()
        mended = folder / "mended"
        told = {"CONSOLE_URL": url, "CONSOLE_MENDED": str(mended), "CONSOLE_ISSUER": provider.url, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", "from stepkeel.cli.main import run; run()", "serve", "tests.console.shop:engine"]
        options = ["--port", "0", "--access", "tests.console.shop:access", "--writes-per-minute", "0"]
        p = stack.enter_context(
            subprocess.Popen(
                [*command, *options],
                env={**os.environ, **told},
                cwd=folder,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        stack.callback(end, p)
        yield Shop(first_line(p).split("/api/v1")[0], keys, mended, provider)


def chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browsing() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield made
        made.close()


def signed_in(key: str, tenant: str = "") -> str:
    """What a page is told before it begins, as if somebody had signed in."""
    place = "'stepkeel.credentials'"
    return (
        f"sessionStorage.getItem({place}) ?? sessionStorage.setItem({place}, JSON.stringify({{key: {key!r}, tenant: {tenant!r}}}))"
    )


@pytest.fixture(scope="session")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """On SQLite, unless a test names another store."""
    if not built():
        _missing("the console is not built: make console, with Node")
    with serving(tmp_path_factory.mktemp("shop"), getattr(request, "param", "sqlite")) as made:
        yield made


@pytest.fixture(scope="module")  # no longer: tests with a loop of their own have none beside its driver's
def browser() -> Iterator[Any]:
    if chromium() is None:
        _missing("there is no Chromium: apt-get install chromium")
    with browsing() as made:
        yield made


@pytest.fixture
def visit(browser: Any, shop: Shop) -> Iterator[Callable[..., Any]]:
    """A page for somebody of a role, on a path; whatever goes wrong in it fails the test."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def opened(role: str, path: str = "/", *, width: int = 1280, scheme: str = "light", tenant: str = "") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        if role:
            context.add_init_script(signed_in(shop.keys[role], tenant))
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(f"{path}: {error}"))
        page.on("console", lambda said: wrong.append(f"{path}: {said.text}") if "Content Security Policy" in said.text else None)
        page.goto(f"{shop.at}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []

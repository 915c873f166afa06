"""The console's files: for everybody, kept as long as they may be, under a strict policy; and what is told without them."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stepkeel import Engine
from stepkeel.access import Access
from stepkeel.api.app import make_app
from stepkeel.console.site import built, routes
from tests.flows import WaitFlow

FIRST_LOAD = 350_000  # bytes, compressed


def made(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<meta name="csp-nonce" content="__NONCE__"><script src="/assets/a-1.js"></script>')
    (tmp_path / "assets" / "a-1.js").write_text("let a = 1;" * 1_000)
    (tmp_path / "assets" / "secret.txt").write_text("not of the console")
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path.parent / "outside.js").write_text("outside")
    return tmp_path


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Any]:
    async with Engine("memory://", [WaitFlow]) as engine:
        app = make_app(engine, access=Access(), pages=routes(made(tmp_path)))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as found:
            yield found


async def test_every_address_of_a_page_is_the_page_with_a_nonce_of_its_own_and_nobody_needs_a_key_for_it(client: Any) -> None:
    nonces: set[str] = set()
    for path in ("/", "/instances", "/instances/abc?tab=data", "/definitions/A/1"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
        policy = answer.headers["Content-Security-Policy"]
        (nonce,) = re.findall("style-src 'self' 'nonce-([0-9a-f]{32})'", policy)
        assert f'content="{nonce}"' in answer.text
        assert "unsafe" not in policy
        assert "http" not in policy
        nonces.add(nonce)
    assert len(nonces) == 4


async def test_a_file_is_kept_for_ever_and_comes_compressed(client: Any) -> None:
    answer = await client.get("/assets/a-1.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert int(answer.headers["Content-Length"]) < 200
    plain = await client.get("/assets/a-1.js", headers={"Accept-Encoding": "identity"})
    assert plain.text == answer.text == "let a = 1;" * 1_000
    assert (await client.get("/icon.svg")).text == "<svg/>"


async def test_nothing_but_its_files_is_told_and_the_api_is_where_it_was(client: Any) -> None:
    for path in (
        "/assets/none.js",
        "/assets/secret.txt",
        "/assets/..%2F..%2Foutside.js",
        "/assets/%2e%2e%2findex.html",
        "/api/v1/nothing",
        "/api/x",
    ):
        answer = await client.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await client.get("/api/v1/instances")).status_code == 401
    assert (await client.get("/livez")).json() == {"status": "ok"}
    assert (await client.post("/instances", json={})).status_code == 405


async def test_without_its_files_the_page_says_how_to_build_it_and_the_api_works(tmp_path: Path) -> None:
    async with Engine("memory://", [WaitFlow]) as engine:
        app = make_app(engine, pages=routes(tmp_path))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client:
            answer = await client.get("/")
            assert (answer.status_code, "make console" in answer.text) == (200, True)
            assert (await client.get("/api/v1/instances")).json()["items"] == []


async def test_an_application_has_the_console_only_where_it_is_asked_for() -> None:
    async with Engine("memory://", [WaitFlow]) as engine:
        for asked, status in ((False, 404), (True, 200)):
            app = httpx2.ASGITransport(app=engine.asgi(console=asked))
            async with httpx2.AsyncClient(transport=app, base_url="http://localhost") as client:
                assert (await client.get("/instances")).status_code == status


@pytest.mark.skipif(not built(), reason="the console is not built: make console, with Node")
def test_the_first_page_is_small_and_asks_nobody_else() -> None:
    from stepkeel.console.site import DIST

    page = (DIST / "index.html").read_text(encoding="utf-8")
    files = re.findall(r'(?:src|href)="/(assets/[^"]+)"', page)
    size = sum(len(gzip.compress((DIST / name).read_bytes(), 9)) for name in files)
    assert 50_000 < size < FIRST_LOAD
    assert "//" not in page.replace("<!--", "")

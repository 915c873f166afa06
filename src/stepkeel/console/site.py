"""The console's pages at `/`, as routes of the application that serves the API.

| asked for | answered |
|---|---|
| `/assets/NAME` | the file: its name has a digest of it, so that it is kept for ever |
| `/icon.svg` | the file |
| an address of a page: `/`, `/instances/ID` ... | the one page there is, with a nonce of its own, never kept |
| an address of the API that there is not | 404, as everywhere |
| anything, where the console was not built | a page that says how to build it |
"""

from __future__ import annotations

import functools
import gzip
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from stepkeel.ids import secret

__all__ = ["PUBLIC", "built", "routes"]

DIST = Path(__file__).parent / "dist"
PUBLIC = "public"  # the option of a route that nobody needs a credential for
NONCE = "__NONCE__"  # where the page has it
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".json": "application/json"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' blob: data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OTHERS = ("api/", "livez", "readyz")  # whose addresses are no pages
ABSENT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Stepkeel</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"></head>
<body><main><h1>Stepkeel runs; its console was not built</h1>
<p>The API is at <a href="/api/v1/openapi/openapi.json">/api/v1</a>, and works without it. A released package has the console in it;
in a checkout of the sources it is built once, by <code>make console</code>, which needs Node 20 or newer.</p></main></body></html>
"""


def built(dist: Path = DIST) -> bool:
    return (dist / "index.html").is_file()


@functools.cache
def _packed(file: Path) -> tuple[bytes, bytes]:
    """What is in it, and the same compressed as well as can be: it is done once."""
    raw = file.read_bytes()
    return raw, gzip.compress(raw, 9, mtime=0)


def _file(request: Request[Any, Any, Any], file: Path, cache: str) -> Response[bytes]:
    if file.suffix not in KINDS or not file.is_file():
        raise NotFoundException
    raw, packed = _packed(file)
    headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        raw, headers = packed, {**headers, "Content-Encoding": "gzip"}
    return Response(raw, media_type=KINDS[file.suffix], headers=headers)


def routes(dist: Path = DIST) -> list[Any]:
    """The console's routes, of the files in a folder."""
    whole = (dist / "index.html").read_text(encoding="utf-8") if built(dist) else ABSENT

    def page() -> Response[str]:
        nonce = secret()[:32]
        headers = {"Content-Security-Policy": POLICY.format(nonce=nonce), "Cache-Control": "no-cache"}
        return Response(whole.replace(NONCE, nonce), media_type="text/html", headers=headers)

    @get("/assets/{name:str}", opt={PUBLIC: True}, include_in_schema=False)
    async def console_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        return _file(request, dist / "assets" / Path(name).name, "public, max-age=31536000, immutable")

    @get("/icon.svg", opt={PUBLIC: True}, include_in_schema=False)
    async def console_icon(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _file(request, dist / "icon.svg", "public, max-age=3600")

    @get(["/", "/{address:path}"], opt={PUBLIC: True}, include_in_schema=False)
    async def console_page(request: Request[Any, Any, Any]) -> Response[str]:
        if request.url.path.lstrip("/").startswith(OTHERS):
            raise NotFoundException
        return page()

    return [console_asset, console_icon, console_page]

"""What identity providers publish and answer: JSON of a bounded size, in a bounded time, from addresses that are safe."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from stepkeel.errors import BadRequest, Unavailable
from stepkeel.extra import needing

__all__ = ["check_address", "discovered", "post_form", "read_json"]

MOST_DOCUMENT = 1_000_000  # bytes of what an issuer publishes
PATIENCE = 5.0  # seconds
DISCOVERY = "/.well-known/openid-configuration"


def check_address(url: str) -> None:
    """Raises BadRequest where others could read, or answer in its place."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    try:
        own = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        own = False
    if not (own and parts.scheme == "http"):
        raise BadRequest(f"{url!r} is no address to ask an identity provider at", remedy="https://...; http only on this machine")


async def read_json(url: str) -> dict[str, Any]:
    """Raises Unavailable, BadRequest."""
    status, found = await _ask("GET", url)
    if status != 200:
        raise Unavailable(f"{url} answers {status}", remedy="is it the right address?")
    return found


async def post_form(url: str, form: Mapping[str, str], basic: tuple[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """The status and what is said. `basic`: who asks, and their secret. Raises Unavailable, BadRequest."""
    return await _ask("POST", url, dict(form), basic)


async def discovered(issuer: str) -> dict[str, Any]:
    """What it says of itself (OpenID Connect Discovery 1.0). Raises Unavailable, BadRequest."""
    told = await read_json(issuer.rstrip("/") + DISCOVERY)
    if told.get("issuer") != issuer:
        raise Unavailable(f"{issuer} says it is {told.get('issuer')!r}", remedy="Issuer(url=) as it says itself")
    return told


async def _ask(
    method: str, url: str, form: dict[str, str] | None = None, basic: tuple[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    with needing("httpx2", "identity providers", "server"):
        import httpx2

    check_address(url)
    try:
        async with asyncio.timeout(PATIENCE), httpx2.AsyncClient() as client:
            async with client.stream(method, url, data=form, auth=basic, headers={"Accept": "application/json"}) as answer:
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MOST_DOCUMENT:
                        raise Unavailable(f"{url} tells more than {MOST_DOCUMENT} bytes", remedy="is it the right address?")
            return answer.status_code, msgspec.json.decode(body, type=dict[str, Any])
    except (httpx2.HTTPError, TimeoutError, OSError, ValueError) as error:
        raise Unavailable(f"{url} does not answer as it should: {error}", remedy="is it reachable from here?") from None

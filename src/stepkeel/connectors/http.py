"""http.request: a call of an HTTP API. Where it may go says the service `Http`; secrets stand there, not in the document.

| what comes | then |
|---|---|
| a status of `accept` (default 2xx) | the output: status, headers, body (JSON, or a text) |
| 408, 425, 429, 500, 502, 503, 504; no connection, no answer in time | tried again by the policy, after Retry-After if given |
| any other status | fails with the code HTTP_404 (its own number), details: status, body |
| more than `most` bytes | fails with HTTP_TOO_LARGE |
| a URL that is not on the list | fails with HTTP_NOT_ALLOWED; nothing is sent |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.errors import BadRequest, TransientError
from stepkeel.model.outcome import Fail, TryAgain
from stepkeel.model.policy import Retry
from stepkeel.telemetry import inject

__all__ = ["Http", "HttpRequest", "HttpResponse", "request"]

_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_LONGEST = timedelta(hours=1)  # that a server's Retry-After is heeded
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass
class HttpRequest:
    """`json` or `text` is the body; `accept` the status codes that are no failure (none: 200 to 299); `timeout` in seconds.

    `idempotency`: the name of the header that carries the step's idempotency key; empty: none is sent.
    """

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    query: dict[str, str | int | float | bool] = field(default_factory=dict[str, str | int | float | bool])
    json: Any = None
    text: str | None = None
    accept: list[int] = field(default_factory=list[int])
    timeout: float = 30.0
    idempotency: str = "Idempotency-Key"


@dataclass
class HttpResponse:
    """`body` is what JSON says, where the answer is JSON; else its text."""

    status: int
    headers: dict[str, str]
    body: Any = None


class Http:
    """Where documents may go, and what goes with each request there.

    allow    origins, `https://api.example.com` or with a path that all URLs there begin with; `https://*.example.com` is every host
             below it. Nothing else is reached; redirects are not followed
    headers  of these, the headers that are added: `{"https://api.example.com": {"Authorization": "Bearer ..."}}`
    most     bytes of an answer, default 1,000,000
    transport  for tests: an httpx2 transport in the place of the network
    Raises BadRequest on what is no origin.
    """

    def __init__(
        self,
        allow: Iterable[str],
        headers: Mapping[str, Mapping[str, str]] | None = None,
        *,
        most: int = 1_000_000,
        transport: Any = None,
    ) -> None:
        self._allow = [_origin(each) for each in allow]
        self._headers = [(_origin(place), dict(sent)) for place, sent in (headers or {}).items()]
        self._most = most
        self._transport = transport

    def __repr__(self) -> str:
        return f"<Http to {', '.join(f'{o.scheme}://{o.netloc}{o.path}' for o in self._allow) or 'nowhere'}>"

    def headers_for(self, url: str) -> dict[str, str]:
        """What is added. Raises Fail where the URL is not on the list."""
        asked = urlsplit(url)
        if not any(_within(asked, place) for place in self._allow):
            raise Fail("HTTP_NOT_ALLOWED", f"{asked.scheme}://{asked.hostname} is not on the list of the service Http")
        return {name: value for place, sent in self._headers if _within(asked, place) for name, value in sent.items()}

    async def send(self, asked: HttpRequest, key: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises Fail, TransientError."""
        import httpx2

        headers = {**asked.headers, **self.headers_for(asked.url)}
        if asked.idempotency:
            headers.setdefault(asked.idempotency, key)
        inject(headers)
        body: dict[str, Any] = {} if asked.json is None else {"json": asked.json}
        body |= {} if asked.text is None else {"content": asked.text}
        timeout = httpx2.Timeout(asked.timeout)
        try:
            async with (
                httpx2.AsyncClient(transport=self._transport, timeout=timeout, follow_redirects=False, trust_env=False) as client,
                client.stream(asked.method, asked.url, params=asked.query or None, headers=headers, **body) as answer,
            ):
                return answer.status_code, dict(answer.headers), await self._read(answer)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise Fail("HTTP_BAD_REQUEST", str(error)) from None
        except httpx2.TransportError as error:
            raise TransientError(f"{asked.method} {_shown(asked.url)}: {type(error).__name__} {error}".rstrip()) from None

    async def _read(self, answer: Any) -> bytes:
        found = bytearray()
        async for piece in answer.aiter_bytes():
            found += piece
            if len(found) > self._most:
                raise Fail("HTTP_TOO_LARGE", f"the answer has more than {self._most:,} bytes")
        return bytes(found)


@activity(
    name="http.request", retry=Retry(attempts=5, delay=1.0, backoff="exponential", max_delay=60.0, retry_on=(TransientError,))
)
async def request(ctx: Context[Any, HttpRequest], http: Http) -> HttpResponse | TryAgain | Fail:
    """Call an HTTP API; gives status, headers and body."""
    asked = ctx.input
    if asked.method not in _METHODS or (asked.json is not None and asked.text is not None):
        return Fail("HTTP_BAD_REQUEST", f"the method is one of {', '.join(_METHODS)}; the body is json or text")
    status, headers, raw = await http.send(asked, ctx.idempotency_key)
    body = _body(headers.get("content-type", ""), raw)
    if status in asked.accept or (not asked.accept and 200 <= status < 300):
        return HttpResponse(status, headers, body)
    text = f"{asked.method} {_shown(asked.url)} gave {status}"
    if status in _AGAIN:
        return TryAgain(text, delay=_retry_after(headers.get("retry-after", ""), ctx.now))
    return Fail(f"HTTP_{status}", text, {"status": status, "body": body})


def _body(kind: str, raw: bytes) -> Any:
    if not raw:
        return None
    if "json" in kind:
        try:
            return json.loads(raw)
        except ValueError:
            pass  # it says that it is JSON
    return raw.decode("utf-8", "replace")


def _retry_after(said: str, now: datetime) -> timedelta | None:
    """Seconds, or a date."""
    if said.isdigit():
        return min(timedelta(seconds=int(said[:9])), _LONGEST)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta(0)), _LONGEST)


def _shown(url: str) -> str:
    """Without what may be a secret: user, query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _origin(text: str) -> SplitResult:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise BadRequest(f"Http({text!r})", remedy="an origin: https://api.example.com, https://*.example.com")
    return parts


def _within(asked: SplitResult, place: SplitResult) -> bool:
    host, wanted = asked.hostname or "", cast("str", place.hostname)
    try:
        same = (asked.scheme, asked.port) == (place.scheme, place.port)
    except ValueError:
        return False  # a port that is none
    named = host.endswith(wanted[1:]) and len(host) > len(wanted[1:]) if wanted.startswith("*.") else host == wanted
    path = asked.path or "/"
    below = not place.path.strip("/") or path == place.path.rstrip("/") or path.startswith(f"{place.path.rstrip('/')}/")
    return same and named and below and ".." not in path.split("/") and "%2e" not in path.lower()

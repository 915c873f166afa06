"""Requests to the API: sent again where that is safe, and errors as those that the engine raises.

| what comes back | then |
|---|---|
| no connection could be made | again, until `patience` is over |
| the connection was lost, no answer in time, 502, 503, 504 | again, if it only reads, or has a key under which it is done once; |
| | else Unavailable: nothing is known |
| 429 | again after Retry-After, while that is within `patience`; else TooManyRequests |
| any other status of 400 and more | the error that its `code` names |
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlsplit

import msgspec

from stepkeel.errors import BadRequest, StepkeelError, TooManyRequests, Unavailable
from stepkeel.extra import needing
from stepkeel.model.instant import to_micros
from stepkeel.telemetry import inject

__all__ = ["API", "Wire", "moment", "quoted"]

T = TypeVar("T")
API = "/api/v1"
_AGAIN = (502, 503, 504)
_SLACK = 15.0  # seconds beyond what an answer is asked to wait
MOST_WAIT = 60  # seconds that the server waits for anything, at most


def _known(kind: type[StepkeelError]) -> dict[str, type[StepkeelError]]:
    found = {kind.code: kind}
    for each in kind.__subclasses__():
        found |= _known(each)
    return found


def quoted(text: str) -> str:
    """A part of a path: whatever is in it leads nowhere else."""
    return quote(text, safe="") if text not in (".", "..") else text.replace(".", "%2E")


class Wire:
    """Where the API is, and who asks.

    url       http://host:port, with or without /api/v1
    key       an API key, or a token of an identity provider
    tenant    one of those that the key reaches; None: its first
    patience  seconds for which a server that is away is asked again
    transport what carries the requests, for tests
    """

    def __init__(self, url: str, key: str | None, tenant: str | None, patience: float, transport: Any = None) -> None:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            parts, known = urlsplit(""), False
        if not known:
            raise BadRequest("that is no address of a server", remedy="https://stepkeel.example")
        if parts.username is not None or parts.query or parts.fragment:
            raise BadRequest(
                f"the address {parts.hostname} has more in it than an address", remedy="the key is key=, the tenant tenant="
            )
        with needing("httpx2", "asking a server", "http"):
            import httpx2
        self._http: Any = httpx2
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix(API)}"
        self._patience = patience
        headers = {"Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if tenant:
            headers["X-Tenant"] = tenant
        self._client = httpx2.AsyncClient(base_url=self.url, headers=headers, transport=transport, follow_redirects=False)

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.aclose()

    # -- what is asked

    async def get(self, path: str, kind: type[T] | Any, params: Mapping[str, Any] | None = None, wait: float = 0.0) -> Any:
        return self.read(await self.send("GET", path, params=params, wait=wait, again=True), kind)

    async def text(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        return (await self.send("GET", path, params=params, again=True)).text

    async def post(self, path: str, body: Mapping[str, Any], kind: type[T] | Any, **options: Any) -> Any:
        """`options` as `send` has them."""
        return self.read(await self.send("POST", path, body=body, **options), kind)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        actor: str = "",
        wait: float | None = None,
        again: bool = False,
        revision: int | None = None,
        key: str | None = None,
    ) -> Any:
        """The answer, of a status below 400. `wait`: seconds that the server may take for it. Raises what the engine raises."""
        headers: dict[str, Any] = {}
        if actor:
            headers["X-Actor"] = actor.encode()
        if wait is not None:
            headers["Prefer"] = f"wait={min(MOST_WAIT, max(0, round(wait)))}"
        if key is not None:
            headers["Idempotency-Key"] = key.encode()
        if revision is not None:
            headers["If-Match"] = f'"{revision}"'
        inject(headers)
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        request = self._client.build_request(
            method, API + path, content=content, params=_texts(params), headers=headers, timeout=(wait or 0) + _SLACK
        )
        return await self._tried(request, again=again)

    async def lines(self, path: str, params: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Of an answer that is told as it comes."""
        try:
            async with self._client.stream("GET", API + path, params=_texts(params)) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    raise _error(answer)
                async for line in answer.aiter_lines():
                    yield line.encode() + b"\n"
        except self._http.TransportError as error:
            raise self._away(error) from None

    async def _tried(self, request: Any, *, again: bool) -> Any:
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._patience, 0.05
        while True:
            wait = pause
            try:
                answer = await self._client.send(request)
            except self._http.TransportError as error:
                unsent = isinstance(error, self._http.ConnectError | self._http.ConnectTimeout | self._http.PoolTimeout)
                failure: StepkeelError = self._away(error)
                if not (again or unsent):
                    raise failure from None
            else:
                if answer.status_code < 400:
                    return answer
                failure = _error(answer)
                if isinstance(failure, TooManyRequests):
                    wait = float(failure.details["retry_after"])
                elif answer.status_code not in _AGAIN or not again:
                    raise failure
            if loop.time() + wait > end:
                raise failure
            await asyncio.sleep(wait)
            pause = min(pause * 2, 1.0)

    def _away(self, error: Exception) -> Unavailable:
        text = " ".join(str(error).split()) or type(error).__name__
        return Unavailable(f"{self.url}: {text}", remedy="does the server run, and is it reachable from here?")

    def read(self, answer: Any, kind: Any) -> Any:
        """What it says. Raises Unavailable for what is no answer of ours."""
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"{self.url} answers what this release does not know: {error}", remedy="is it a Stepkeel server?"
            ) from None


def _texts(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters as the API takes them; those that say nothing are left out."""
    found: dict[str, Any] = {}
    for name, value in (params or {}).items():
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif isinstance(value, datetime):
            found[name] = moment(value)
        elif value not in (None, "", (), []):
            found[name] = value
    return found


def moment(at: datetime) -> str:
    """RFC 3339. Raises BadRequest for a time without a zone."""
    to_micros(at)
    return at.isoformat()


def _error(answer: Any) -> StepkeelError:
    """What the server says is wrong, as the class that the engine would have raised."""
    try:
        told: Any = answer.json()
    except ValueError:
        told = None
    found = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    if "code" not in found:
        kind = Unavailable if answer.status_code >= 500 else BadRequest
        return kind(f"{answer.request.url.host} answers {answer.status_code}", remedy="is it a Stepkeel server?")
    wrong = "; ".join(f"{w['pointer']}: {w['message']}" for w in found.get("errors", ()))
    text = found.get("detail") or wrong or found.get("title", "")
    kind = _known(StepkeelError).get(found["code"], Unavailable if answer.status_code >= 500 else BadRequest)
    details: dict[str, Any] = found.get("details", {})
    if kind is TooManyRequests:
        details = {"retry_after": int(answer.headers.get("Retry-After", "1"))}
    error = kind.__new__(kind)
    StepkeelError.__init__(error, text, remedy=found.get("remedy", ""), **details)  # some of them are made otherwise
    return error

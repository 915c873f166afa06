"""What a request says besides its body and its caller: how long it waits, which answer it has already, and nothing unknown."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import msgspec
from litestar import MediaType, Response
from litestar.exceptions import ClientException
from litestar.params import QueryParameter

from stepkeel.api.caller import Asking
from stepkeel.api.document import Tables
from stepkeel.api.route import HEEDED
from stepkeel.api.trace import text_of
from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest

__all__ = [
    "MOST_WAIT",
    "RECEIPT_WAIT",
    "Moment",
    "correlation_of",
    "etag",
    "key_of",
    "moments_of",
    "once",
    "patience_of",
    "plainly",
    "refuse_foreign_host",
    "refuse_misfits",
    "refuse_other_media",
    "refuse_unheeded",
    "refuse_unknown",
    "revision_of",
    "wait_of",
]

MOST_WAIT = 60.0
RECEIPT_WAIT = 5.0
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")
_REVISION = re.compile(r'"([1-9]\d{0,17})"')
Moment = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$",
        format="date-time",
        description="RFC 3339, with its zone",
    ),
]


def wait_of(request: Asking) -> float | None:
    """Seconds of `Prefer: wait=10` (RFC 7240), at most a minute; None where it is not said."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return None if found is None else min(float(found[1]), MOST_WAIT)


def patience_of(request: Asking) -> float:
    """The same for a receipt, which is waited for a little where nothing is said."""
    seconds = wait_of(request)
    return RECEIPT_WAIT if seconds is None else seconds


def key_of(request: Asking, said: str | None) -> str | None:
    """The key under which it is done once: of the body, or of the header `Idempotency-Key`. Raises BadRequest."""
    return _either(request, "Idempotency-Key", "key", said)


def correlation_of(request: Asking, said: str | None) -> str | None:
    """What ties it to others: of the body, or of the header `X-Correlation-ID`. Raises BadRequest."""
    return _either(request, "X-Correlation-ID", "correlation_id", said)


def _either(request: Asking, header: str, field: str, said: str | None) -> str | None:
    told = text_of(request.headers.get(header, ""))
    if told and said and told != said:
        raise BadRequest(f"{header} and {field} are two", remedy="one of them")
    return said or told or None


def etag(revision: int) -> str:
    return f'"{revision}"'


def revision_of(request: Asking) -> int | None:
    """The revision that `If-Match` names, which is an ETag of an instance; None: any. Raises BadRequest."""
    told = request.headers.get("If-Match")
    if told is None or told.strip() == "*":
        return None
    found = _REVISION.fullmatch(told.strip())
    if found is None:
        raise BadRequest("If-Match is no ETag of an instance", remedy='one, as it was given: "7"')
    return int(found[1])


def unchanged(request: Asking, tag: str) -> bool:
    """The answer is one that the client has."""
    told = request.headers.get("If-None-Match", "")
    return told == "*" or tag in [t.strip().removeprefix("W/") for t in told.split(",")]


def once(request: Asking, tag: str, make: Callable[[], Any], **options: Any) -> Response[Any]:
    """Nothing is made, or told, for who has it already."""
    if unchanged(request, tag):
        return Response(b"", status_code=304, headers={"ETag": tag}, media_type=MediaType.TEXT)
    return Response(make(), headers={"ETag": tag}, **options)


def plainly(core: Core) -> Core:
    """The same, reading data as they are stored and not as the authors' types."""
    return replace(core, definitions={})


def refuse_other_media(request: Asking) -> None:
    """Only JSON is acted upon: what a page of another site may send without being asked is a form or plain text.

    Raises ClientException.
    """
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and kind != "application/json":
        raise ClientException(f"Content-Type is {kind or 'missing'}, application/json is needed", status_code=415)


def refuse_foreign_host(request: Asking) -> None:
    """A page of another site could have its own name lead to this machine. Raises BadRequest."""
    hosts: Collection[str] | None = request.app.state.hosts
    if hosts is not None and urlsplit(f"//{request.headers.get('Host', '')}").hostname not in hosts:
        raise BadRequest("Host is the name of another machine", remedy=f"one of: {', '.join(sorted(hosts))}")


async def refuse_misfits(request: Asking) -> None:
    """A body is of the types it is documented with: a text that could be read as a number is none.

    What the framework reads is taken less strictly: it has the texts of queries in mind. Raises msgspec.DecodeError.
    """
    field = request.route_handler.parsed_data_field
    if field is None:
        return
    body = await request.body()
    if not body:
        raise msgspec.ValidationError("a body is needed: {} where nothing is to be said")
    _decoder(field.annotation).decode(body)


@functools.cache
def _decoder(kind: type) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def moments_of(**texts: str | None) -> dict[str, datetime | None]:
    """Times of a query, by their names. Raises BadRequest."""
    found: dict[str, datetime | None] = {}
    for name, text in texts.items():
        try:
            found[name] = None if text is None else datetime.fromisoformat(text)
        except ValueError:
            remedy = "RFC 3339: 2026-01-31T12:00:00Z; a + is %2B in an address"
            raise BadRequest(f"{name}={text!r} is no time", remedy=remedy) from None
    return found


def refuse_unheeded(request: Asking) -> None:
    """A condition that nobody would look at is no condition. Raises BadRequest."""
    if "If-Match" in request.headers and "If-Match" not in request.route_handler.opt.get(HEEDED, ()):
        raise BadRequest("If-Match is not heeded here", remedy="it is for what operators ask of an instance")


def refuse_unknown(request: Asking) -> None:
    """A parameter that the operation has not is no filter that holds of everything. Raises BadRequest."""
    tables: Tables = request.app.state.tables
    template: Any = cast("dict[str, Any]", request.scope).get("path_template")
    known = tables.parameters.get((template, request.method))
    strange = sorted({*request.query_params} - known) if known is not None else []
    if strange:
        assert known is not None
        remedy = f"known: {', '.join(sorted(known))}" if known else "it takes none"
        raise BadRequest(f"there is no parameter {strange[0]}", remedy=remedy)

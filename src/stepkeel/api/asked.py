"""What a request says besides its body: who acts, how long it waits, which answer it has already, and nothing unknown."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Request
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import SkipValidation

from stepkeel.engine.core import Core
from stepkeel.errors import BadRequest

__all__ = [
    "MOST_WAIT",
    "TheCore",
    "actor_of",
    "etag",
    "key_of",
    "known_parameters",
    "patience_of",
    "plainly",
    "refuse_foreign_host",
    "refuse_other_media",
    "refuse_unknown",
    "unchanged",
    "wait_of",
]

MOST_WAIT = 60.0
RECEIPT_WAIT = 5.0
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")
Asking = Request[Any, Any, Any]
TheCore = NamedDependency[SkipValidation[Core]]  # what a route calls its verbs with


def actor_of(request: Asking) -> str:
    """Who acts, as the history keeps it. While there is no identity, whoever reaches this address says so themselves."""
    actor = request.headers.get("X-Actor", "")
    if len(actor) > 200:
        raise BadRequest("X-Actor is too long", remedy="at most 200 characters")
    return actor


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
    header = request.headers.get("Idempotency-Key")
    if header and said and header != said:
        raise BadRequest("Idempotency-Key and key are two", remedy="one of them")
    return said or header or None


def etag(revision: int) -> str:
    return f'"{revision}"'


def unchanged(request: Asking, tag: str) -> bool:
    """The answer is one that the client has."""
    told = request.headers.get("If-None-Match", "")
    return told == "*" or tag in [t.strip().removeprefix("W/") for t in told.split(",")]


def plainly(core: Core) -> Core:
    """The same, reading data as they are stored and not as the authors' types."""
    return replace(core, definitions={})


def known_parameters(paths: Mapping[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Of each operation of an OpenAPI document the query parameters that it has."""
    found: dict[tuple[str, str], set[str]] = {}
    for path, item in paths.items():
        for method, operation in item.items():
            if isinstance(operation, dict):
                names = {p["name"] for p in operation.get("parameters", ()) if p.get("in") == "query"}  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                found[path, method.upper()] = names
    return found


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


def refuse_unknown(request: Asking) -> None:
    """A parameter that the operation has not is no filter that holds of everything. Raises BadRequest."""
    table: dict[tuple[str, str], set[str]] = request.app.state.parameters
    template: Any = cast("dict[str, Any]", request.scope).get("path_template")
    known = table.get((template, request.method))
    strange = sorted({*request.query_params} - known) if known is not None else []
    if strange:
        assert known is not None
        remedy = f"known: {', '.join(sorted(known))}" if known else "it takes none"
        raise BadRequest(f"there is no parameter {strange[0]}", remedy=remedy)

"""What every route has, told in OpenAPI: the answers that any of them may give when it refuses, and the headers that it heeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import InitVar, dataclass
from functools import partial
from typing import Any

import litestar
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation, Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from stepkeel.api.schema import Problem

__all__ = ["HEEDED", "get", "post"]

HEEDED = "heeded"  # the option of a route that names the headers it heeds
_HEADERS = {
    "Idempotency-Key": ("the same again is the same act: it is done once", '"order-4711"', 512),
    "Prefer": ("how many seconds to wait for its fate, or its end, at most a minute (RFC 7240)", "wait=10", 200),
    "If-Match": ("its ETag: only if it has not moved on since, else 412", '"7"', 200),
    "If-None-Match": ("an ETag: 304, where it is still that", '"7"', 2_000),
    "X-Correlation-ID": ("what ties it to others", "order-4711", 512),
}

_READING = {
    400: "it makes no sense: an unknown parameter, a value out of range",
    401: "nobody knows who asks",
    403: "who asks has no permission, or does not reach the tenant",
    404: "there is no such thing",
    409: "what is stored does not decode: the instance is set aside",
    503: "the database does not answer",
}
_ACTING = {
    **_READING,
    400: "it makes no sense: no JSON, an unknown parameter, two keys",
    403: "who asks may not: no permission; it is another's, for another role, four eyes",
    409: "not possible in its condition",
    412: "it has moved on since the revision of If-Match",
    413: "too large",
    422: "it does not fit: the body, the data, the signal; or this process does not know the definition",
    429: "too many requests in this time (Retry-After); an inbox is full",
}


def _refused(told: Mapping[int, str], also: Mapping[int, Any] | None) -> dict[int, ResponseSpec]:
    found = {
        code: ResponseSpec(Problem, description=text, media_type="application/problem+json", generate_examples=False)
        for code, text in told.items()
    }
    for code, kind in (also or {}).items():
        found[code] = ResponseSpec(kind, description="the first one, where the key was known", generate_examples=False)
    return found


@dataclass
class _Operation(Operation):
    """One that heeds headers, which its function does not name."""

    heeded: InitVar[Collection[str]] = ()

    def __post_init__(self, heeded: Collection[str]) -> None:
        told = [
            Parameter(name, "header", description=text, schema=Schema(type=OpenAPIType.STRING, max_length=most, examples=[example]))
            for name, (text, example, most) in _HEADERS.items()
            if name in heeded
        ]
        self.parameters = [*(self.parameters or ()), *told] or None


def _heeding(headers: Collection[str]) -> dict[str, Any]:
    return {"opt": {HEEDED: headers}, "operation_class": partial(_Operation, heeded=headers)} if headers else {}


def get(path: str, summary: str, description: str = "", *, heeds: Collection[str] = (), **options: Any) -> Any:
    """A route that reads. `heeds`: names of headers."""
    answers = _refused(_READING, None)
    if "If-None-Match" in heeds:
        answers[304] = ResponseSpec(None, description="it is what was there before", generate_examples=False)
    told: dict[str, Any] = {"summary": summary, "description": description or None, "responses": answers}
    return litestar.get(path, **told, **_heeding(heeds), **options)


def post(
    path: str,
    summary: str,
    description: str = "",
    *,
    also: Mapping[int, Any] | None = None,
    heeds: Collection[str] = ("Idempotency-Key",),
    **options: Any,
) -> Any:
    """A route that acts. `also`: other answers, by their status, than the one it is declared to give."""
    told: dict[str, Any] = {"summary": summary, "description": description or None, "responses": _refused(_ACTING, also)}
    return litestar.post(path, **told, **_heeding(heeds), **options)

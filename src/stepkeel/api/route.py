"""What every route has: the answers that any of them may give when it refuses, told in OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import litestar
from litestar.openapi.datastructures import ResponseSpec

from stepkeel.api.schema import Problem

__all__ = ["get", "post"]

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


def get(path: str, summary: str, description: str = "", **options: Any) -> Any:
    """A route that reads."""
    return litestar.get(path, summary=summary, description=description or None, responses=_refused(_READING, None), **options)


def post(path: str, summary: str, description: str = "", *, also: Mapping[int, Any] | None = None, **options: Any) -> Any:
    """A route that acts. `also`: other answers, by their status, than the one it is declared to give."""
    return litestar.post(path, summary=summary, description=description or None, responses=_refused(_ACTING, also), **options)

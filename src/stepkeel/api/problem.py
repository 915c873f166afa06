"""Errors as problem documents (RFC 9457): by their class, never by their text.

| what | status |
|---|---|
| the request makes no sense (BadRequest, no JSON, an unknown parameter) | 400 |
| nobody knows who asks | 401 |
| who asks may not | 403 |
| there is no such thing, or no such address | 404 |
| another method, another media type | 405, 415 |
| the instance, or the task, is not in a condition for it | 409 |
| it was meant for an earlier revision (`If-Match`) | 412 |
| too large | 413 |
| it is JSON, and does not fit: the body's shape, the data, a signal, a definition that is not known here | 422 |
| too many requests in this time; an inbox is full | 429 |
| the database does not answer | 503 |
| our own fault; the log has it, the answer has not | 500 |
"""

from __future__ import annotations

import logging
import re
from typing import Any, cast

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from stepkeel import errors
from stepkeel.api.schema import Problem, Wrong

__all__ = ["HANDLERS", "HEADERS", "problem"]

_log = logging.getLogger("stepkeel.api")
_MISFIT = "data that do not fit"
_STATUS: tuple[tuple[type[errors.StepkeelError], int, str], ...] = (
    (errors.NotFound, 404, "not found"),
    (errors.NotAuthenticated, 401, "nobody knows who asks"),
    (errors.NotAllowed, 403, "not allowed"),
    (errors.DataInvalid, 422, _MISFIT),
    (errors.UnknownSignal, 422, "an unknown signal"),
    (errors.UnknownWorkflow, 422, "an unknown workflow"),
    (errors.BadRequest, 400, "a request that makes no sense"),
    (errors.TooManyRequests, 429, "too many requests"),
    (errors.InboxFull, 429, "too many unread signals"),
    (errors.RevisionChanged, 412, "it has moved on"),
    (errors.ConflictError, 409, "not possible now"),
    (errors.InstanceFault, 409, "an instance that was set aside"),
    (errors.EngineError, 503, "not available"),
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    # A picture that is opened by itself runs nothing and is framed by nobody, whatever stands in it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
_MORE = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "1"}}
_TITLES = {
    400: "a request that makes no sense",
    404: "not found",
    405: "another method",
    413: "too large",
    415: "another media type",
}


def problem(request: Request[Any, Any, Any], found: Problem) -> Response[Problem]:
    headers = {**HEADERS, **_MORE.get(found.status, {})}
    found = msgspec.structs.replace(found, instance=request.url.path)
    return Response(found, status_code=found.status, media_type="application/problem+json", headers=headers)


def _known(request: Request[Any, Any, Any], error: errors.StepkeelError) -> Response[Problem]:
    for kind, status, title in _STATUS:
        if isinstance(error, kind):
            told = {k: v for k, v in error.details.items() if isinstance(v, str | int | float | bool | None)}
            text = Problem(f"urn:stepkeel:{error.code}", title, status, error.code, error.message, error.remedy, details=told)
            answer = problem(request, text)
            if isinstance(error, errors.TooManyRequests):
                answer.headers["Retry-After"] = str(error.details["retry_after"])
            return answer
    return _ours(request, error)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    status, wrong = error.status_code, list[Wrong]()
    if isinstance(error, ValidationException):
        told = cast("list[dict[str, Any]]", error.extra) if isinstance(error.extra, list) else []
        wrong = [Wrong(str(each.get("key", "")), str(each.get("message", ""))) for each in told]
    elif status >= 500:
        return _ours(request, error)
    code = "not_found" if status == 404 else "bad_request"
    detail = "" if wrong else error.detail
    return problem(request, Problem(f"urn:stepkeel:{code}", _TITLES.get(status, "refused"), status, code, detail, "", "", wrong))


def _misfit(request: Request[Any, Any, Any], error: msgspec.ValidationError) -> Response[Problem]:
    """It is JSON, and of another shape: where, msgspec says in a path like `$.data[2].name`."""
    message, _, place = str(error).partition(" - at `$")
    pointer = re.sub(r"[.\[]", "/", place.rstrip("`").replace("[...]", "")).replace("]", "")
    text = Problem("urn:stepkeel:data_invalid", _MISFIT, 422, "data_invalid", errors=[Wrong(pointer, message)])
    return problem(request, text)


def _no_json(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    text = "it is nested too deeply" if isinstance(error, RecursionError) else "it is no JSON in UTF-8"
    return problem(request, Problem("urn:stepkeel:bad_request", _TITLES[400], 400, "bad_request", text))


def _ours(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    known = request.state.get("request_id", "?")
    _log.error("%s %s (request %s)", request.method, request.url.path, known, exc_info=error, extra={"request_id": known})
    found = Problem("urn:stepkeel:internal", "our own fault", 500, "internal", "the log of the server says more")
    return problem(request, found)


HANDLERS: dict[Any, Any] = {
    errors.StepkeelError: _known,
    HTTPException: _http,
    msgspec.ValidationError: _misfit,
    msgspec.DecodeError: _no_json,
    RecursionError: _no_json,
    UnicodeDecodeError: _no_json,
    Exception: _ours,
}

"""What an attempt gave back, read as an input of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec

from stepkeel.errors import DataInvalid, PermanentError, ResourceExhausted, TransientError
from stepkeel.model.codec import Codec, to_json
from stepkeel.model.input import AttemptDeferred, AttemptEnded
from stepkeel.model.instant import to_micros, to_span
from stepkeel.model.outcome import Break, Cancel, Complete, Continue, Fail, Terminate, TryAgain, Wait
from stepkeel.model.policy import error_name
from stepkeel.model.snapshot import Failure

__all__ = ["AttemptTimeout", "Fresh", "of_error", "of_result"]


class AttemptTimeout(TimeoutError):
    """An attempt took longer than its timeout (retried by its policy), or than its deadline (final)."""

    def __init__(self, which: Literal["timeout", "deadline"], seconds: float) -> None:
        super().__init__(f"no end after {seconds:g} s")
        self.which = which


# Encoded data with the copy decoded from it: checked once, and the next attempt need not decode it again.
Fresh = tuple[bytes, Any]
_ENDINGS: dict[type[Any], Any] = {Complete: "complete", Cancel: "cancel", Terminate: "terminate", Break: "break"}


def of_result(
    path: str, attempt: int, result: Any, data: Any, before: msgspec.Raw, codec: Codec, *, gives: bool = False
) -> tuple[AttemptEnded, Fresh | None]:
    """An attempt returned. `data` is its copy, `before` what it was decoded from; `gives`: its node gives a result."""
    try:
        if result is None or isinstance(result, Continue):
            raw, fresh = _changed(codec, data, before)
            return AttemptEnded(path, attempt, "done", raw), fresh
        if isinstance(result, Fail):
            return AttemptEnded(path, attempt, "failed", failure=_business(result)), None
        if isinstance(result, TryAgain):
            return _again(path, attempt, result, data, before, codec)
        if isinstance(result, Wait):
            raw, fresh = _changed(codec, data, before)
            delay = None if result.delay is None else max(0, to_span(result.delay))
            until = None if result.until is None else to_micros(result.until)
            return AttemptEnded(path, attempt, "wait", raw, result.reason, delay, until), fresh
        if isinstance(result, Complete | Cancel | Terminate | Break):
            data = result.data if isinstance(result, Break) and result.data is not None else data
            raw, fresh = _changed(codec, data, before)
            return AttemptEnded(path, attempt, _ENDINGS[type(result)], raw, result.reason), fresh
        if gives:
            given = msgspec.Raw(to_json(result))
            raw, fresh = _changed(codec, data, before)
            return AttemptEnded(path, attempt, "done", raw, result=given), fresh
        if isinstance(result, Mapping):
            result = codec.updated(data, cast("Mapping[str, Any]", result))
        raw, fresh = _changed(codec, result, before)
        return AttemptEnded(path, attempt, "done", raw), fresh
    except Exception as error:
        failure = _permanent("bad_result", f"returned {_kind(cast('object', result))}: {error}")
        return AttemptEnded(path, attempt, "failed", failure=failure), None


def _changed(codec: Codec, data: Any, before: msgspec.Raw) -> tuple[bytes | None, Fresh | None]:
    raw = codec.encode(data)
    if raw == bytes(before):  # a Raw equals no bytes
        return None, None
    return raw, (raw, codec.decode(raw))


def _again(
    path: str, attempt: int, result: TryAgain, data: Any, before: msgspec.Raw, codec: Codec
) -> tuple[AttemptEnded, Fresh | None]:
    raw, fresh = (None, None) if result.discard else _changed(codec, data, before)
    delay = None if result.delay is None else max(0, to_span(result.delay))
    failure = Failure("try_again", result.reason, kind="again")
    return AttemptEnded(path, attempt, "again", raw, result.reason, delay, failure=failure), fresh


def _kind(value: object) -> str:
    return type(value).__name__


def _permanent(code: str, message: str) -> Failure:
    return Failure(code, message, kind="permanent")


def _business(error: Fail) -> Failure:
    try:
        details = None if error.details is None else msgspec.json.decode(to_json(error.details))
    except DataInvalid:
        details = str(error.details)
    return Failure(error.code, error.message, kind="business", details=details, types=_types(error), causes=_causes(error))


def of_error(path: str, attempt: int, error: BaseException) -> AttemptEnded | AttemptDeferred:
    """An attempt raised."""
    if isinstance(error, ResourceExhausted):
        return AttemptDeferred(path, attempt, error.message, to_span(error.retry_after))
    if isinstance(error, Fail):
        return AttemptEnded(path, attempt, "failed", failure=_business(error))
    kind: Any = "technical"
    if isinstance(error, TransientError):
        kind = "transient"
    elif isinstance(error, PermanentError | DataInvalid | msgspec.ValidationError):
        kind = "permanent"
    if isinstance(error, AttemptTimeout):
        technical = "technical" if error.which == "timeout" else "permanent"
        failure = Failure(error.which, str(error), kind=technical, types=("TimeoutError", "OSError"))
        return AttemptEnded(path, attempt, "failed", failure=failure)
    own = getattr(type(error), "code", None)
    code = own if isinstance(own, str) else type(error).__name__
    failure = Failure(code, str(error), kind=kind, types=_types(error), causes=_causes(error))
    return AttemptEnded(path, attempt, "failed", failure=failure)


def _types(error: BaseException) -> tuple[str, ...]:
    return tuple(error_name(t) for t in type(error).__mro__ if t not in (object, BaseException, Exception))


def _causes(error: BaseException) -> tuple[str, ...]:
    found: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and len(found) < 10:
        found.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return tuple(found)

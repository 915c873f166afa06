"""A definition as a document: the parts that stand in many places. What is only Python is collected, with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from stepkeel.document.words import shown
from stepkeel.model.calendar import Calendar
from stepkeel.model.codec import Codec, to_json
from stepkeel.model.definition import Problem
from stepkeel.model.function import Function, Mapper
from stepkeel.model.join import Join, Own
from stepkeel.model.node import Activity, Pool
from stepkeel.model.policy import Retry
from stepkeel.model.reducer import Append, Merge, Sum
from stepkeel.model.schema import Schema

__all__ = ["Writer", "called", "slim", "span"]

_UNITS = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms"))
_REDUCERS: dict[Any, str] = {Append: "append", Merge: "merge", Sum: "sum"}


def slim(**fields: Any) -> dict[str, Any]:
    """Those that say something; a trailing underscore keeps a name from being Python's own word."""
    return {k.rstrip("_"): v for k, v in fields.items() if v not in (None, "", (), [], {}, False)}


def span(micros: int | None) -> Any:
    """`3d`, `1500ms`; seconds where it is no whole number of milliseconds."""
    if micros is None:
        return None
    for size, unit in _UNITS:
        if micros and micros % size == 0:
            return f"{micros // size}{unit}"
    return micros / 1e6


def called(base: str, key: str, used: dict[str, int]) -> str:
    """The name that has to be said for a key; nothing where it comes by itself. `used` counts names, as the builder does."""
    taken = used.get(base, 0) + 1
    if key == (base if taken == 1 else f"{base}-{taken}"):
        used[base] = taken
        return ""
    used[key] = used.get(key, 0) + 1
    return key


class Writer:
    """Writes functions, types and policies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []

    def lost(self, place: str, what: str, remedy: str) -> None:
        self.problems.append(Problem("no_text", place or self.name, what, remedy))

    # -- functions

    def text(self, function: Function | None, place: str) -> Any:
        """The source of a function that was written as text."""
        if function is None:
            return None
        if function.fact is not None and function.fact.text:
            return function.fact.text
        if not hasattr(function.call, "source"):
            named = f"the function {shown(function.name)}" if shown(function.name) else "a lambda"
            self.lost(place, f"{named} is code, not data", 'write it as text: when="data.amount >= 100"')
            return None
        return cast("Any", function.call).source

    def said(self, given: Any, place: str) -> Any:
        """A value, or the text of what makes it."""
        if isinstance(given, Function):
            return self.text(given, place)
        return list(cast("tuple[Any, ...]", given)) if isinstance(given, tuple) else given

    def into(self, mapper: Mapper | None, place: str) -> Any:
        if mapper is None:
            return None
        return mapper.field or self.text(mapper.function, place)

    # -- policies

    def policies(self, activity: Activity, own: Activity) -> dict[str, Any]:
        """What is said of an activity otherwise than it says itself."""
        return slim(
            retry=_retry(activity.retry) if _retry(activity.retry) != _retry(own.retry) else None,
            timeout=span(activity.timeout) if activity.timeout != own.timeout else None,
            deadline=span(activity.deadline) if activity.deadline != own.deadline else None,
            optional=activity.optional and not own.optional,
        )

    def join(self, join: Join, place: str) -> Any:
        need = self.said(join.need, place)
        unsaid = Join()
        rest = {k: v for k in ("failures", "rest", "late", "again", "unmet") if (v := getattr(join, k)) != getattr(unsaid, k)}
        if not rest:
            return need if need != "all" else None
        return {**({"need": need} if need != "all" else {}), **rest}

    def own(self, own: Own | None) -> Any:
        if own is None or own.back == "changed":
            return None if own is None else "own"
        return {"own": own.back if isinstance(own.back, str) else [*own.back]}

    def calendar(self, calendar: Calendar | None) -> Any:
        if calendar is None:
            return None
        said = calendar.outline()
        return slim(zone=said["zone"], days=said["week"], holidays=said["holidays"])

    def limit(self, pool: Pool, otherwise: str) -> dict[str, Any]:
        key = self.text(pool.key, f"{self.name} limits")
        return slim(n=pool.size, per=span(pool.per), key=key, name=pool.name if pool.name != otherwise else None)

    # -- types

    def schema(self, codec: Codec) -> dict[str, Any] | None:
        """JSON Schema of a type; `x-type` is its name in Python."""
        kind = codec.type
        if isinstance(kind, Schema):
            return {"title": kind.__name__, **kind.document}
        if codec.fields is None:
            return None
        found = _inline(codec.schema())
        properties = {n: {**cast("Mapping[str, Any]", p)} for n, p in found.get("properties", {}).items()}
        for field, default in _defaults(kind).items():
            if field in properties:
                properties[field].setdefault("default", default)
        for field, hint in codec.reduced.items():
            reducer = next((_REDUCERS[m] for m in getattr(hint, "__metadata__", ()) if m in _REDUCERS), None)
            if reducer is not None and field in properties:
                properties[field]["x-reduce"] = reducer
        return {"title": codec.name, "x-type": codec.name, **found, "properties": properties, "additionalProperties": False}


def _retry(retry: Retry | None) -> dict[str, Any] | None:
    if retry is None:
        return None
    unsaid = Retry()
    found = slim(
        backoff=retry.backoff if retry.backoff != unsaid.backoff else None,
        factor=retry.factor if retry.factor != unsaid.factor else None,
        max_delay=span(retry.max_delay_micros) if retry.max_delay_micros != unsaid.max_delay_micros else None,
        retry_on=retry.wanted.bare,
        give_up_on=retry.unwanted.bare,
    )
    jitter = {"jitter": retry.jitter} if retry.jitter != unsaid.jitter else {}
    return {"attempts": retry.attempts, "delay": span(retry.delay_micros), **found, **jitter}


def _defaults(kind: Any) -> dict[str, Any]:
    """Of the fields that need not be given: what they are then."""
    try:
        fields: Any = getattr(msgspec.inspect.type_info(kind), "fields", ())
    except TypeError:
        return {}
    found: dict[str, Any] = {}
    for f in fields:
        if f.default is not msgspec.NODEFAULT or f.default_factory is not msgspec.NODEFAULT:
            value = f.default if f.default is not msgspec.NODEFAULT else f.default_factory()
            found[f.name] = json.loads(to_json(value))
    return found


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference to its own definitions stands for, the others beside it."""
    reference = str(schema.get("$ref", ""))
    if not reference.startswith("#/$defs/"):
        return {k: v for k, v in schema.items() if k != "title"}
    name = reference.rpartition("/")[2]
    every = cast("dict[str, Any]", schema["$defs"])
    rest = {k: v for k, v in every.items() if k != name or reference in str([*every.values()])}
    return {k: v for k, v in every[name].items() if k != "title"} | ({"$defs": rest} if rest else {})

"""Reducers: how what several branches do to one field becomes one value, in the order of the branches.

| reducer | contribution of a branch | anything else |
|---|---|---|
| Append | what it added at the end of the list | is a conflict |
| Merge | the keys it set | removing one is a conflict |
| Sum | the difference | - |
| a function | the value as it left it; `function(so_far, value)`; one that gives the same whoever comes first: max, a union | - |
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast, get_args, get_origin

import msgspec
from msgspec import Raw

__all__ = ["Append", "Conflict", "Merge", "Reducer", "Sum", "reducers_of"]


class Append:
    """`notes: Annotated[list[str], Append]`: branches that add to the list all count, in the order of the branches."""


class Merge:
    """`facts: Annotated[dict[str, int], Merge]`: branches that set keys all count; of one key the last branch's value."""


class Sum:
    """`total: Annotated[int, Sum]`: what branches add to the number all counts. Also float, Decimal, timedelta."""


class Conflict(Exception):
    """A branch did to a reduced field what its reducer cannot express."""


class Reducer:
    """`delta` is a branch's contribution, `add` brings one to what came before it. Values are encoded; None: nothing."""

    def delta(self, old: Raw | None, new: Raw) -> Raw:
        raise NotImplementedError

    def add(self, value: Raw | None, delta: Raw) -> Raw:
        raise NotImplementedError


def _encoded(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


_list: Callable[[Raw], list[Raw]] = msgspec.json.Decoder(list[Raw] | None).decode  # type: ignore[assignment]
_dict: Callable[[Raw], dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw] | None).decode  # type: ignore[assignment]


class _Append(Reducer):
    def delta(self, old: Raw | None, new: Raw) -> Raw:
        before, after = (_list(old) if old is not None else None) or [], _list(new) or []
        if after[: len(before)] != before:
            raise Conflict("it may only be added to, at its end")
        return _encoded(after[len(before) :])

    def add(self, value: Raw | None, delta: Raw) -> Raw:
        return delta if value is None else _encoded([*(_list(value) or []), *_list(delta)])


class _Merge(Reducer):
    def delta(self, old: Raw | None, new: Raw) -> Raw:
        before, after = (_dict(old) if old is not None else None) or {}, _dict(new) or {}
        if before.keys() - after.keys():
            raise Conflict("keys may only be set")
        return _encoded({k: v for k, v in after.items() if before.get(k) != v})

    def add(self, value: Raw | None, delta: Raw) -> Raw:
        return delta if value is None else _encoded({**(_dict(value) or {}), **_dict(delta)})


class _Typed(Reducer):
    def __init__(self, kind: Any) -> None:
        self.decode = msgspec.json.Decoder(kind).decode


class _Sum(_Typed):
    def delta(self, old: Raw | None, new: Raw) -> Raw:
        return new if old is None else _encoded(self.decode(new) - self.decode(old))

    def add(self, value: Raw | None, delta: Raw) -> Raw:
        return delta if value is None else _encoded(self.decode(value) + self.decode(delta))


class _Function(_Typed):
    def __init__(self, kind: Any, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(kind)
        self.function = function

    def delta(self, old: Raw | None, new: Raw) -> Raw:
        return new

    def add(self, value: Raw | None, delta: Raw) -> Raw:
        return delta if value is None else _encoded(self.function(self.decode(value), self.decode(delta)))


def _reducer_of(annotation: Any) -> Reducer | None:
    """The reducer that a field's `Annotated` type names; None for a plain field."""
    if get_origin(annotation) is not Annotated:
        return None
    kind, *marks = get_args(annotation)
    for mark in marks:
        if mark is Append:
            return _Append()
        if mark is Merge:
            return _Merge()
        if mark is Sum:
            return _Sum(kind)
        if inspect.isroutine(mark):
            return _Function(kind, cast("Callable[[Any, Any], Any]", mark))
    return None


def reducers_of(fields: Mapping[str, Any] | None) -> dict[str, Reducer]:
    """The reduced fields of a data type."""
    return {name: found for name, kind in (fields or {}).items() if (found := _reducer_of(kind)) is not None}

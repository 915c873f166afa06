"""Calling the author's pure functions: what they may do to data, and what it means when they raise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import msgspec

from stepkeel.errors import StepkeelError
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.fact import ask_fact
from stepkeel.kernel.merge import MergeFailed, write
from stepkeel.model.function import Function, Mapper
from stepkeel.model.run import Run
from stepkeel.model.snapshot import Failure

__all__ = ["PureFailed", "apply_into", "ask", "ask_at", "change", "fill", "holds", "pure_failure"]


class PureFailed(Exception):
    """A guard, mapping or transform raised, or gave what cannot be stored. `code` is that of the failure it leads to."""

    def __init__(self, message: str, code: str = "pure_failed") -> None:
        super().__init__(message)
        self.code = code


def ask(function: Function, *args: Any) -> Any:
    """Call a pure function that only looks. Raises PureFailed."""
    try:
        return function.call(*args)
    except Exception as error:
        raise PureFailed(f"{function.name} raised {type(error).__name__}: {error}") from error


def ask_at(draft: Draft, path: str, function: Function) -> Any:
    """What a node's own function says: of the data, and of the item around it where it wants that. Raises PureFailed."""
    return ask(function, draft.view(path), *((draft.item(path),) if function.item else ()))


def holds(draft: Draft, guard: Function | None, *args: Any, at: str = "", of: Run[Any] | None = None) -> bool:
    """A guard's answer; no guard always holds. `at` is the node it belongs to; that of a step is asked `of` its Run.

    Raises PureFailed.
    """
    if guard is None:
        return True
    about = draft.view(at) if of is None else of
    if guard.fact is not None:
        fact = guard.fact
        return bool(ask(Function(partial(fact.holds, partial(ask_fact, draft)), guard.name), (about, *args)))
    return bool(ask(guard, about, *args))


def change(draft: Draft, path: str, function: Function, *args: Any) -> None:
    """Let a node's function change the data it is given, or return a mapping of fields or new data. Raises PureFailed."""
    codec = draft.definition.data
    data = codec.decode(draft.record(path))
    result = ask(function, data, *args)
    try:
        if result is None:
            result = data
        elif isinstance(result, Mapping):
            result = codec.updated(data, cast("Mapping[str, Any]", result))
        write(draft, path, codec.checked(result)[0])
    except StepkeelError as error:
        raise PureFailed(f"{function.name}: {error}") from error
    except MergeFailed as error:
        raise PureFailed(f"{function.name}: {error}", error.code) from error


def apply_into(draft: Draft, path: str, into: Mapper | None, value: Any) -> None:
    """Bring a value that a node was given into the data: as a field, or by a function. Raises PureFailed."""
    if into is None:
        return
    if into.function is not None:
        change(draft, path, into.function, value)
        return
    codec = draft.definition.data
    try:
        write(draft, path, codec.checked(codec.updated(codec.decode(draft.record(path)), {into.field: value}))[0])
    except StepkeelError as error:
        raise PureFailed(f"into={into.field!r}: {error}") from error
    except MergeFailed as error:
        raise PureFailed(f"into={into.field!r}: {error}", error.code) from error


_FIELD = re.compile(r"\{([A-Za-z_][\w.]*)\}")


def fill(template: str, record: msgspec.Raw) -> str:
    """A template over the data's fields, `{order.id}`: names alone, nothing is evaluated; one that is not there stays as it is."""
    if "{" not in template:
        return template
    data: Any = msgspec.json.decode(record)

    def field(match: re.Match[str]) -> str:
        value = data
        for name in match[1].split("."):
            if not isinstance(value, dict) or name not in value:
                return match[0]
            value = cast("dict[str, Any]", value)[name]
        return str(value)

    return _FIELD.sub(field, template)


def pure_failure(path: str, error: PureFailed | MergeFailed) -> Failure:
    return Failure(error.code, str(error), path, kind="permanent")

"""The `activity` decorator, and how a callable is read: its Context and the services it asks for."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from stepkeel.authoring.context import Context
from stepkeel.authoring.source import code_of
from stepkeel.document.expression import ExpressionInvalid
from stepkeel.document.formula import value
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model.function import Function
from stepkeel.model.instant import to_span
from stepkeel.model.node import Activity, Pool
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import Breaker, CompensateWhen, Limit, Retry

__all__ = [
    "Call",
    "activity",
    "activity_of",
    "given_type",
    "input_of",
    "is_activity",
    "order_of",
    "output_type",
    "pools_of",
    "read_call",
    "returned_by",
    "snake",
]

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D")
I = TypeVar("I")  # noqa: E741 - what an activity is given
T = TypeVar("T")
P = ParamSpec("P")
_MARK = "__stepkeel_activity__"
_NAMES = "__stepkeel_names__"


@overload
def activity(target: F, /) -> F: ...
@overload
def activity(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: timedelta | float | None = None,
    deadline: timedelta | float | None = None,
    optional: bool = False,
    fallback: Callable[..., Any] | None = None,
    compensate: Callable[..., Any] | None = None,
    compensate_when: CompensateWhen = "done",
    limits: Limit | Sequence[Limit] = (),
    transactional: bool = False,
    breaker: Breaker | None = None,
    cache: timedelta | float | None = None,
    batch: Literal[False] = False,
) -> Callable[[F], F]: ...
@overload
def activity(
    *,
    batch: int,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: timedelta | float | None = None,
    deadline: timedelta | float | None = None,
    optional: bool = False,
    fallback: Callable[..., Any] | None = None,
    compensate: Callable[..., Any] | None = None,
    compensate_when: CompensateWhen = "done",
    limits: Limit | Sequence[Limit] = (),
    breaker: Breaker | None = None,
    cache: timedelta | float | None = None,
) -> Callable[
    [Callable[Concatenate[Context[D, list[I]], P], Awaitable[list[T]]]], Callable[Concatenate[Context[D, I], P], Awaitable[T]]
]: ...
def activity(
    target: Any = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: timedelta | float | None = None,
    deadline: timedelta | float | None = None,
    optional: bool = False,
    fallback: Callable[..., Any] | None = None,
    compensate: Callable[..., Any] | None = None,
    compensate_when: CompensateWhen = "done",
    limits: Limit | Sequence[Limit] = (),
    transactional: bool = False,
    breaker: Breaker | None = None,
    cache: timedelta | float | None = None,
    batch: int = False,
) -> Any:
    """Mark a function, or a class with `__call__`, as an activity and give it policies. It stays what it was.

    name             in history and idempotency keys; default: the function's name, a class's in snake case
    retry            default: only TryAgain and TransientError are tried again
    timeout          of one attempt; a timedelta or seconds; code `timeout`
    deadline         over all attempts; no retry begins behind it; code `deadline`
    optional         when it finally fails it is recorded as skipped and the flow goes on
    fallback         an activity that runs in its stead when it finally fails
    compensate       an activity that undoes it; runs when the instance fails, is cancelled or terminated
    limits           how many attempts of it may run at a time, or begin in a span, in the whole fleet; those beyond wait
    compensate_when  "done", or "started": also when it failed after its first attempt began (ambiguous effects)
    transactional    what it writes through `ctx.connection` is committed together with its step, exactly once: an asyncpg
                     connection within a transaction on PostgreSQL, an apsw one on SQLite. Keep it short; it has no `ctx.step`
    breaker          stops calling what keeps failing, for the whole fleet
    cache            for so long what it returned is taken again, instead of running it, wherever in the tenant it is given the same
                     (`Context[Data, Input]`). It must have no other effect: neither on the data, nor one to be undone
    batch            one call for steps or items of an instance that begin together, at most so many (True: 100): `ctx.input` is the
                     list of their inputs, `ctx.keys` of their keys; it returns that of their results, a `Fail` where one has failed
    Raises BadRequest on values that make no sense.
    """
    spans = {"timeout": timeout, "deadline": deadline, "cache": cache}
    _sensible(spans, compensate_when, breaker, batch, transactional)
    if cache is not None and (transactional or compensate is not None):
        raise BadRequest(f"activity(cache={cache!r})", remedy="not of one that is transactional, or has a compensation")
    others = {"fallback": fallback, "compensate": compensate}
    plain: dict[str, Any] = {"retry": retry, "optional": optional, "compensate_when": compensate_when}
    plain |= {"transactional": transactional, "breaker": breaker}
    names = sys._getframe(1).f_locals  # pyright: ignore[reportPrivateUsage]

    def mark(found: Any) -> Any:
        if "<locals>" in getattr(found, "__qualname__", ""):
            setattr(found, _NAMES, dict(names))  # types that were declared in the same function
        called = name or _name_of(found)
        made: dict[str, Any] = {n: None if span is None else to_span(span) for n, span in spans.items()}
        made |= {n: None if other is None else activity_of(other) for n, other in others.items()}
        pools = pools_of(limits, f"activity/{called}")
        setattr(found, _MARK, Activity(called, found, pools=pools, batch=100 if batch is True else batch, **plain, **made))
        return found

    return mark if target is None else mark(target)


def _sensible(spans: Mapping[str, Any], compensate_when: Any, breaker: Any, batch: Any, transactional: Any) -> None:
    """Raises BadRequest."""
    for label, span in spans.items():
        if span is not None and to_span(span) <= 0:
            raise BadRequest(f"activity({label}={span!r})", remedy="a positive timedelta or number of seconds")
    if compensate_when not in ("done", "started"):
        raise BadRequest(f"activity(compensate_when={compensate_when!r})", remedy="done or started")
    many = 100 if batch is True else batch
    if not isinstance(many, int) or not 0 <= many <= 10_000 or many == 1 or (many and transactional):
        raise BadRequest(f"activity(batch={batch!r})", remedy="True, or a number from 2 to 10,000; not of a transactional one")
    if breaker is not None and not isinstance(breaker, Breaker):
        raise BadRequest(f"activity(breaker={breaker!r})", remedy="Breaker(threshold=5, sample=10, open=60)")


def pools_of(limits: Limit | Sequence[Limit], owner: str) -> tuple[Pool, ...]:
    """The pools that limits stand for. Raises BadRequest on what is no limit."""
    given = (limits,) if isinstance(limits, Limit) else tuple(limits)
    found: list[Pool] = []
    for n, limit in enumerate(given, 1):
        if not isinstance(limit, Limit):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"limits={limit!r}", remedy="Limit(5), Limit(100, per=60), Limit(1, key=lambda data: ...)")
        name = limit.name or (owner if n == 1 else f"{owner}-{n}")
        key = None if limit.key is None else _key(limit.key, name)
        found.append(Pool(name, limit.n, None if limit.per is None else to_span(limit.per), key))
    if len({p.name for p in found}) < len(found):
        raise BadRequest(f"two limits of {owner} have one name", remedy="give one of them another name=")
    return tuple(found)


def _key(given: Any, name: str) -> Function:
    """What a limit is counted by. Raises BadRequest."""
    if isinstance(given, str):
        try:
            given = value(given, ("data", "item"), reads="expression")
        except ExpressionInvalid as error:
            raise BadRequest(f"key={given!r} of {name}: {error}", remedy='key="data.customer_id"') from None
    text = getattr(given, "__stepkeel_source__", "")
    item = bool(getattr(given, "__stepkeel_item__", False))
    return Function(given, text or f"key of {name}", code_of(given), None, item, text)


def activity_of(target: Callable[..., Any]) -> Activity:
    """The activity record of a callable; an undecorated one has no policies."""
    record = getattr(target, "__dict__", {}).get(_MARK)
    return record if isinstance(record, Activity) else Activity(_name_of(target), target)


def given_type(activity: Activity) -> Any:
    """The type of what an activity is given: of one that takes many, each. Raises what `read_call` does."""
    wanted = read_call(activity.target).input
    return (get_args(wanted) or (Any,))[0] if activity.batch else wanted


def input_of(activity: Activity) -> Any:
    """The type of what it is given; None where it takes anything."""
    try:
        wanted = given_type(activity)
    except (DefinitionError, TypeError, ValueError):
        return None  # told where the definition is built
    return wanted if isinstance(wanted, type) and wanted not in (type(None), object, Any) else None


def order_of(kind: Any) -> tuple[str, ...]:
    """The fields of a NamedTuple, which is stored as their list; nothing of another type."""
    return tuple(getattr(kind, "_fields", ()))


def output_type(activity: Activity) -> Any:
    """The type of its output; of one that takes many, of each. Any where that is not known."""
    found = returned_by(activity.target)
    return (get_args(found) or (Any,))[0] if activity.batch else found


def is_activity(target: Any) -> bool:
    """It was marked with `activity`."""
    return isinstance(getattr(target, "__dict__", {}).get(_MARK), Activity)


def snake(name: str) -> str:
    """`ReservePayment` -> `reserve_payment`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _name_of(target: Any) -> str:
    if inspect.isclass(target):
        return snake(target.__name__)
    name = getattr(target, "__name__", type(target).__name__)
    return "activity" if name == "<lambda>" else name


@dataclass(frozen=True, slots=True)
class Call:
    """How an activity is called: which data it expects, which input, which services by type (first parameter aside).

    `construct` are the services of a class's constructor, `services` those of the call.
    """

    data: Any
    input: Any
    services: tuple[tuple[str, Any], ...]
    construct: tuple[tuple[str, Any], ...] | None
    is_async: bool


@functools.lru_cache(maxsize=1_024)
def read_call(target: Callable[..., Any]) -> Call:
    """Read the signature of an activity. Raises DefinitionError naming the parameter that cannot be understood."""
    construct: tuple[tuple[str, Any], ...] | None = None
    called: Any = target
    names: dict[str, Any] | None = getattr(target, "__dict__", {}).get(_NAMES)
    if inspect.isclass(target):
        if "__call__" not in dir(target) or not inspect.isfunction(getattr(target, "__call__", None)):  # noqa: B004
            raise DefinitionError(f"{target.__name__} has no __call__", remedy="an activity class does its work in __call__")
        called = target.__call__
        own_init = target.__init__ is not object.__init__
        construct = tuple(_parameters(target.__init__, target.__name__, names)[1:]) if own_init else ()
    parameters = _parameters(called, getattr(target, "__name__", str(target)), names)
    if inspect.isclass(target):
        parameters = parameters[1:]
    if not parameters:
        raise DefinitionError(
            f"{_name_of(target)} takes no Context",
            remedy="its first parameter is Context[Data], or Context[Data, Input]",
        )
    first, rest = parameters[0], parameters[1:]
    args = get_args(first[1]) if get_origin(first[1]) is Context else ()
    if first[1] is not Context and not args and first[1] is not inspect.Parameter.empty:
        raise DefinitionError(
            f"{_name_of(target)}: the first parameter {first[0]} is {first[1]!r}, not a Context",
            remedy="its first parameter is Context[Data], or Context[Data, Input]",
        )
    missing = [n for n, kind in rest if kind is inspect.Parameter.empty]
    if missing:
        raise DefinitionError(f"{_name_of(target)}: {missing[0]} has no type", remedy="services are found by type: annotate it")
    data, input = args if args else (Any, Any)
    return Call(data, input, tuple(rest), construct, inspect.iscoroutinefunction(called))


@functools.lru_cache(maxsize=1_024)
def returned_by(target: Callable[..., Any]) -> Any:
    """The type of what an activity returns, outcomes aside; Any where that is not known."""
    called: Any = target.__call__ if inspect.isclass(target) else target
    try:
        kind = get_type_hints(called, localns=getattr(target, "__dict__", {}).get(_NAMES), include_extras=True).get("return", Any)
    except (NameError, TypeError):
        return Any
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    left = tuple(m for m in members if getattr(m, "__module__", "") != Fail.__module__)
    return Union[left] if left else None  # noqa: UP007 - made of what was found


def _parameters(function: Any, name: str, names: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """Required parameters and their resolved types; those with a default are the author's own."""
    try:
        hints = get_type_hints(function, localns=names, include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"{name}: a type cannot be resolved: {error}", remedy="import it at run time, not only under TYPE_CHECKING"
        ) from None
    found: list[tuple[str, Any]] = []
    for n, p in enumerate(inspect.signature(function).parameters.values()):
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or (p.default is not p.empty and n):
            continue
        found.append((p.name, hints.get(p.name, p.empty)))
    return found

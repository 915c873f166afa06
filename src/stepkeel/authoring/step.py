"""Steps of a pipeline as activities: a function of the state is called with the state, its services, and its Context if it asks."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast, get_origin, get_type_hints

from stepkeel.authoring.activity import activity_of, snake
from stepkeel.authoring.context import Context
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model.instant import to_span
from stepkeel.model.node import Activity
from stepkeel.model.outcome import Break

__all__ = ["Confident", "Equals", "Recorded", "adapted", "name_of_step", "named", "with_policies"]

D = TypeVar("D")


@dataclass(frozen=True)
class Confident(Generic[D]):
    """What a step with `min_confidence=` may return: its state, and how sure it is of it, from 0 to 1."""

    state: D
    confidence: float


class Recorded:
    """What `activity_of` finds a record on. `origin`: where it stands in a document."""

    def __init__(self, record: Activity, origin: tuple[str | int, ...] | None = None) -> None:
        self.record = record
        self.origin = origin
        self.__stepkeel_activity__ = record

    def __call__(self, *_: Any) -> Any:
        raise TypeError(f"{self.record.name} is run by the engine")


def with_policies(own: Activity, said: Mapping[str, Any], record_of: Callable[[Any], Activity] = activity_of) -> Activity:
    """The activity with the policies that a step tells of it, before its own. Raises BadRequest."""
    found: dict[str, Any] = {n: said[n] for n in ("retry", "compensate_when") if said.get(n) is not None}
    for n in ("timeout", "deadline"):
        if said.get(n) is not None:
            found[n] = to_span(said[n])
            if found[n] <= 0:
                raise BadRequest(f"{n} of {own.name}", remedy="longer than nothing")
    for n in ("fallback", "compensate"):
        if said.get(n) is not None:
            found[n] = record_of(said[n])
    return replace(own, optional=own.optional or bool(said.get("optional")), **found)


class Equals:
    """A guard: what the author's function gives is this value. Its code is theirs."""

    def __init__(self, function: Callable[[Any], Any], value: Any) -> None:
        self._function = function
        self._value = value
        self.__name__ = f"{named(function, 'it')} is {value}"
        self.__code__ = getattr(function, "__code__", None)

    def __call__(self, data: Any) -> bool:
        return bool(self._function(data) == self._value)


def named(function: Any, otherwise: str) -> str:
    name = getattr(function, "__name__", "<lambda>")
    return otherwise if name == "<lambda>" else name


def name_of_step(step: Any) -> str:
    """Its phase: the activity's own name, the function's, a class's; in snake case. Empty for a lambda."""
    name = activity_of(step).name
    return "" if getattr(step, "__name__", "") == "<lambda>" else snake(re.sub(r"\W", "_", name))


def adapted(step: Any, data: Any, min_confidence: float | None = None) -> Callable[..., Any]:
    """The same as a function of a Context. Raises DefinitionError where it cannot be understood."""
    construct, call = _signatures(step)
    if not call and not inspect.isclass(step):
        raise DefinitionError(f"{name_of_step(step)} takes nothing", remedy="its first parameter is the state")
    if call and _is_context(call[0].annotation):
        return step  # an activity already
    rest = call[1:]
    wanted = [p for p in rest if not _is_context(p.annotation)]
    nameless = next((p for p in (*construct, *wanted) if p.annotation is p.empty), None)
    if nameless is not None:
        text = f"{name_of_step(step)}: {nameless.name} has no type"
        raise DefinitionError(text, remedy="services are found by type: annotate it")

    def arguments(ctx: Context[Any], services: tuple[Any, ...]) -> tuple[Callable[..., Any], list[Any]]:
        made: Any = step(*services[: len(construct)]) if inspect.isclass(step) else step
        left = iter(services[len(construct) :])
        return made, [ctx.data, *(ctx if _is_context(p.annotation) else next(left) for p in rest)]

    called: Any = step.__call__ if inspect.isclass(step) else step
    if inspect.iscoroutinefunction(called):

        async def run_async(ctx: Context[Any], *services: Any) -> Any:
            made, given = arguments(ctx, services)
            return _judged(await made(*given), min_confidence)

        target: Any = run_async
    else:

        def run(ctx: Context[Any], *services: Any) -> Any:
            made, given = arguments(ctx, services)
            return _judged(made(*given), min_confidence)

        target = run
    functools.update_wrapper(target, step, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
    del target.__wrapped__
    first = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Context[data])
    asked = [p.replace(name=f"new_{p.name}") for p in construct] + wanted
    target.__signature__ = inspect.Signature([first, *asked])
    target.__annotations__ = {p.name: p.annotation for p in (first, *asked)}
    return target


def _judged(result: Any, least: float | None) -> Any:
    """Sure enough: what is done otherwise is left out (it stands in a loop of one time). Not sure: it follows."""
    state, confidence = result, 1.0
    if isinstance(result, Confident):
        sure = cast("Confident[Any]", result)
        state, confidence = sure.state, sure.confidence
    if least is None or confidence < least or _is_outcome(state):
        return state
    return Break("confident", data=state)


def _is_outcome(result: Any) -> bool:
    return type(result).__module__ == Break.__module__


def _signatures(step: Any) -> tuple[list[inspect.Parameter], list[inspect.Parameter]]:
    """What a class's constructor asks for, and what the call does; types resolved, those with a default left out."""
    if not inspect.isclass(step):
        if not callable(step):
            raise BadRequest(f"{step!r} is no step", remedy="a function of the state, or a class that does its work in __call__")
        return [], _parameters(step)
    called = getattr(step, "__call__", None)  # noqa: B004
    if not inspect.isfunction(called):
        raise DefinitionError(f"{step.__name__} has no __call__", remedy="a step that is a class does its work in __call__")
    own_init = step.__init__ is not object.__init__
    return (_parameters(step.__init__)[1:] if own_init else []), _parameters(called)[1:]


def _parameters(function: Any) -> list[inspect.Parameter]:
    try:
        hints = get_type_hints(function, localns=getattr(function, "__dict__", {}).get("__stepkeel_names__"), include_extras=True)
    except NameError as error:
        remedy = "import it at run time, not only under TYPE_CHECKING"
        raise DefinitionError(f"{name_of_step(function)}: a type cannot be resolved: {error}", remedy=remedy) from None
    found: list[inspect.Parameter] = []
    for n, p in enumerate(inspect.signature(function).parameters.values()):
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or (p.default is not p.empty and n):
            continue
        found.append(p.replace(annotation=hints.get(p.name, p.empty), default=p.empty))
    return found


def _is_context(kind: Any) -> bool:
    return kind is Context or get_origin(kind) is Context

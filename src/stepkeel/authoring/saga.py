"""Sagas: steps as an activity each, what they are given made of the input and earlier outputs, undone where one of them fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Concatenate, TypeVar, Unpack, overload

from stepkeel.authoring.build import Policies, build
from stepkeel.authoring.context import Context
from stepkeel.authoring.graph import Mode, Step, StepOptions, Template, graph, step
from stepkeel.authoring.node import Item
from stepkeel.authoring.state import Anywhere, State
from stepkeel.authoring.view import Authored, AuthoredDefinition
from stepkeel.errors import BadRequest
from stepkeel.model.instant import to_span
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import CompensationPolicy, Limit
from stepkeel.model.run import Run

__all__ = ["Saga"]

D = TypeVar("D")
I = TypeVar("I")  # noqa: E741 - what an activity is given
T = TypeVar("T")


class Saga(Authored[D]):
    """Steps over an input, with an undo each: `reserved = payment.step("reserve", reserve, lambda run: run.input.product, ...)`.

    name, data       the definition's name, and the type of the input; steps read it as `run.input`, activities as `ctx.data`
    mode, max_concurrency, into   as of a `graph`
    timeout          of the whole saga, from its start: it fails with the code `timeout`, and what was done is undone
    compensation, compensation_timeout, limits, version   as of a Workflow
    The steps stand in one state, `saga`, as the graph `steps`. Raises BadRequest, DefinitionError.
    """

    def __init__(
        self,
        name: str,
        data: type[D],
        *,
        mode: Mode = "dependency",
        max_concurrency: int = 100,
        timeout: timedelta | float | None = None,
        into: Callable[[D, dict[str, Any]], D | Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
        compensation: CompensationPolicy = "continue_then_fail",
        compensation_timeout: timedelta | float | None = None,
        limits: Limit | Sequence[Limit] = (),
        version: int = 1,
    ) -> None:
        if timeout is not None and to_span(timeout) <= 0:
            raise BadRequest(f"Saga(timeout={timeout!r})", remedy="longer than nothing")
        self.name = name
        self.data = data
        self._timeout = timeout
        self._graph: dict[str, Any] = {"mode": mode, "max_concurrency": max_concurrency, "into": into, "name": "steps"}
        self._policies = Policies(
            version, "reject", compensation, limits=limits, compensation_timeout=compensation_timeout
        )  # fmt: skip
        self._steps: list[Step[Any]] = []

    @overload
    def step(
        self,
        name: str,
        activity: Callable[Concatenate[Context[D, I], ...], Awaitable[T]],
        given: Callable[[Run[D]], I] | Template | None = None,
        **options: Unpack[StepOptions[D, T]],
    ) -> Step[T]: ...
    @overload
    def step(
        self,
        name: str,
        activity: Callable[Concatenate[Context[D, I], ...], T],
        given: Callable[[Run[D]], I] | Template | None = None,
        **options: Unpack[StepOptions[D, T]],
    ) -> Step[T]: ...
    @overload
    def step(
        self, name: str, activity: Item[D] | Sequence[Item[D]], given: None = None, **options: Unpack[StepOptions[D, Any]]
    ) -> Step[Any]: ...
    def step(self, name: str, activity: Any, given: Any = None, **options: Any) -> Step[Any]:
        """One step more; all is as of `stepkeel.step`. Returns what `needs=` and `run[...]` take."""
        return self.add(step(name, activity, given, **options))

    def add(self, made: Step[T]) -> Step[T]:
        """One step more, that was made before. Raises BadRequest."""
        if "definition" in vars(self):
            raise BadRequest(f"{self.name} is built, it cannot be given the step {made.key}", remedy="declare it before it is used")
        self._steps.append(made)
        return made

    def _compiled(self) -> AuthoredDefinition:
        if not self._steps:
            raise BadRequest(f"the saga {self.name} has no steps", remedy='saga.step("reserve", reserve)')
        begin: State[Any] = State(graph(*self._steps, **self._graph), name="saga", initial=True)
        end: State[Any] = State.completed(name="completed")
        begin.to(end)
        members: dict[str, Any] = {"saga": begin, "completed": end}
        if self._timeout is not None:
            members["anywhere"] = anywhere = Anywhere[Any]()
            text = f"not done within {to_span(self._timeout) / 1e6:g} s"
            anywhere.after(self._timeout, end=Fail("timeout", text), interrupt=True, name="timeout")
        cls = type("".join(c if c.isalnum() else "_" for c in self.name), (), members)
        return build(cls, self.data, self.name, self._policies)

    def __repr__(self) -> str:
        return f"<Saga {self.name}: {', '.join(s.key for s in self._steps)}>"

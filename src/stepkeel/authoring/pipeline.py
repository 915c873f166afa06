"""Pipelines: typed, immutable, one step after another. A pipeline compiles to a machine; its phases are the states of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, cast

import msgspec

from stepkeel.authoring.activity import activity_of
from stepkeel.authoring.build import Policies, build
from stepkeel.authoring.concurrent import parallel
from stepkeel.authoring.context import Context
from stepkeel.authoring.nested import scope
from stepkeel.authoring.node import BodyNode, choice, loop
from stepkeel.authoring.node import when as _when
from stepkeel.authoring.people import Names, approval, task
from stepkeel.authoring.state import State
from stepkeel.authoring.step import Equals, Recorded, adapted, name_of_step, named, with_policies
from stepkeel.authoring.view import Authored, AuthoredDefinition
from stepkeel.errors import BadRequest
from stepkeel.model.calendar import Calendar
from stepkeel.model.instant import to_span
from stepkeel.model.join import Paths
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import CompensationPolicy, Limit, Retry

__all__ = ["Forked", "Pipeline"]

D = TypeVar("D")
RESERVED = ("NOT_STARTED", "VALIDATION_FAILED", "COMPLETED", "FAILED")
Step = Callable[..., Any]
Steps = Step | BodyNode[Any] | Sequence[Step | BodyNode[Any]]


class StepOptions(TypedDict, Generic[D], total=False):
    """What `then` may be told of a step."""

    retry: Retry | None
    timeout: timedelta | float | None
    deadline: timedelta | float | None
    optional: bool
    fallback: Step | None
    compensate: Step | None
    validate: Callable[[D], bool] | None
    min_confidence: float | None
    on_low_confidence: Steps
    name: str | None


@dataclass(frozen=True)
class _Stage:
    """One phase: its name, its nodes, and what has to hold for it."""

    phase: str
    body: tuple[Any, ...]
    validate: Callable[[Any], bool] | None = None


class Pipeline(Authored[D]):
    """Steps over a state that each of them gives anew. Every method returns a new pipeline; `definition` is what it compiles to.

    name, data   the definition's name, and the type of the state (a frozen dataclass, say)
    version, compensation, limits   as of a Workflow
    A step is a function of the state, then of services by type and, where it asks, of the Context; it returns the new state, a
    mapping of fields, None (nothing has changed), `Fail` or another outcome. Or a class that does its work in `__call__`. Or
    an activity over the same data. Its phase is its name in snake case; `Phase` lists them: NOT_STARTED, one for each step,
    VALIDATION_FAILED, COMPLETED, FAILED. Raises BadRequest, DefinitionError.
    """

    def __init__(
        self,
        name: str,
        data: type[D],
        *,
        version: int = 1,
        compensation: CompensationPolicy = "continue_then_fail",
        limits: Limit | Sequence[Limit] = (),
    ) -> None:
        self.name = name
        self.data = data
        self._policies = Policies(version, "reject", compensation, limits=limits)
        self._stages: tuple[_Stage, ...] = ()
        self._failing: tuple[Step, ...] = ()
        self._ended = False

    # -- steps

    def start_with(self, step: Step | BodyNode[D], **options: Unpack[StepOptions[D]]) -> Pipeline[D]:
        """The first step; options as of `then`."""
        if self._stages:
            raise BadRequest(f"{self.name} has begun with {self._stages[0].phase}", remedy="then(...)")
        return self.then(step, **options)

    def then(
        self,
        step: Step | BodyNode[D],
        *,
        retry: Retry | None = None,
        timeout: timedelta | float | None = None,
        deadline: timedelta | float | None = None,
        optional: bool = False,
        fallback: Step | None = None,
        compensate: Step | None = None,
        validate: Callable[[D], bool] | None = None,
        min_confidence: float | None = None,
        on_low_confidence: Steps = (),
        name: str | None = None,
    ) -> Pipeline[D]:
        """One step more; or a node of a Workflow's bodies (`for_each`, `child`, `task`), with `validate` and `name` only.

        retry, timeout, deadline, optional, fallback, compensate   as of an activity; the last two are steps too
        validate        where it does not hold the step does not run and the phase is VALIDATION_FAILED
        min_confidence  the step may return `Confident(state, 0.7)`: below this mark the steps of `on_low_confidence` run before
                        the pipeline goes on; one of them that returns Complete, Cancel or Fail ends it
        """
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise BadRequest(f"min_confidence={min_confidence!r}", remedy="from 0 to 1")
        if bool(_several(on_low_confidence)) != (min_confidence is not None):
            raise BadRequest("min_confidence= and on_low_confidence= belong together", remedy="give both, or neither")
        policies = {
            "retry": retry, "timeout": timeout, "deadline": deadline, "optional": optional, "fallback": fallback,
            "compensate": compensate,
        }  # fmt: skip
        if isinstance(step, BodyNode):
            for option, said in {**policies, "min_confidence": min_confidence}.items():
                if said is not None and said is not False:
                    raise BadRequest(f"{option}= of {step.name}", remedy="the activities in it have policies of their own")
            return self._with(_Stage(self._phase(name or step.name or step.kind), (cast("Any", step),), validate))
        phase = self._phase(name or name_of_step(step))
        record = self._activity(step, phase, min_confidence, **policies)
        body: tuple[Any, ...] = (record,)
        if min_confidence is not None:
            again = self._all(on_low_confidence)
            body = (loop(record, *again, max_iterations=1, at_max="go_on", name="confidence"),)
        return self._with(_Stage(phase, body, validate))

    def end_with(self, step: Step | BodyNode[D], **options: Unpack[StepOptions[D]]) -> Pipeline[D]:
        """The last step, run where all have gone well; options as of `then`."""
        ended = self.then(step, **options)
        ended._ended = True
        return ended

    def on_failure(self, *steps: Step) -> Pipeline[D]:
        """Steps that run when it fails, after compensation."""
        return self._copy(failing=(*self._failing, *steps))

    # -- shapes

    def branch(
        self,
        on: Callable[[D], Any],
        ways: Mapping[Any, Steps],
        *,
        otherwise: Steps = (),
        name: str | None = None,
    ) -> Pipeline[D]:
        """Take the way of the value that `on` gives; `otherwise`, or nothing, where there is none."""
        if not ways:
            raise BadRequest("branch() of nothing", remedy="branch(lambda s: s.kind, {'a': [step], 'b': [step]})")
        phase = self._phase(name or named(on, "branch"))
        arms = [
            _when(cast("Any", Equals(on, value)), *self._all(steps), name=_plain(str(value)).lower())
            for value, steps in ways.items()
        ]
        return self._with(_Stage(phase, (choice(*arms, otherwise=self._all(otherwise) or None, name=phase),)))

    def fork(self, *, name: str | None = None, max_concurrency: int | None = None, **branches: Steps) -> Forked[D]:
        """Run ways at the same time, each on the state as it is here. Only `join` may follow."""
        return Forked(self, branches, name, max_concurrency)

    def repeat_until(
        self, until: Callable[[D], bool], *steps: Step, max_iterations: int = 1_000, name: str | None = None
    ) -> Pipeline[D]:
        """Run steps again and again until it holds, asked behind each round; too many rounds fail it (`max_iterations`)."""
        if not steps:
            raise BadRequest("repeat_until() of nothing", remedy="repeat_until(lambda s: s.done, step)")
        phase = self._phase(name or name_of_step(steps[0]))
        body = loop(*self._all(steps), until=until, max_iterations=max_iterations, name=phase)
        return self._with(_Stage(phase, (body,)))

    def await_approval(
        self,
        title: str | Callable[[D], str],
        *,
        role: str | Callable[[D], str | None] = "",
        people: Names | Callable[[D], Names] = (),
        not_by: Names | Callable[[D], Names | None] = (),
        need: int | Literal["all"] = 1,
        options: Sequence[str] = (),
        into: Any = None,
        timeout: timedelta | float | None = None,
        on_timeout: Literal["fail"] | Steps = "fail",
        on_reject: Literal["fail"] | Steps = "fail",
        due: timedelta | float | None = None,
        escalation: str | Sequence[str] = (),
        remind: timedelta | float | None = None,
        calendar: Calendar | None = None,
        when: Callable[[D], bool] | None = None,
        name: str | None = None,
    ) -> Pipeline[D]:
        """Wait for somebody's yes.

        when        a guard: where it does not hold nobody is asked, and the pipeline goes on
        options     what may be chosen instead of a yes or a no; `into` is given the one that is
        into        a field, or a function of the state and the Verdict (with `options`: and the text that was chosen)
        timeout     after which it fails with `approval_timeout`, or the steps of `on_timeout` run and the pipeline goes on
        on_reject   `fail` (with `rejected`), or steps that run instead; the pipeline goes on behind them
        escalation  roles that it passes on to when it is `due`, one after another
        """
        phase = self._phase(name or "approval")
        asked: dict[str, Any] = {
            "role": role, "people": people, "not_by": not_by, "need": need, "due": due, "escalate_to": escalation, "remind": remind,
            "calendar": calendar,
        }  # fmt: skip
        node: BodyNode[D] = (
            task(title, _form(phase, options), into=_chosen(into), name=phase, **asked)
            if options
            else approval(title, into=into, name=phase, **asked)
        )
        after: Any = {}
        if timeout is not None:
            steps = [_timed_out] if on_timeout == "fail" else self._all(on_timeout)
            after = {timedelta(microseconds=to_span(timeout)): steps}
        failing: Any = {} if on_reject == "fail" else {"rejected": self._all(on_reject)}
        if after or failing:
            node = scope(node, after=after, on_failure=failing, name=f"{phase}_or")
        if when is not None:
            node = choice(_when(when, node, name="asked"), name=f"{phase}_if")
        return self._with(_Stage(phase, (node,)))

    # -- what it is

    def _compiled(self) -> AuthoredDefinition:
        begin: State[Any] = State(name="not_started", initial=True)
        end: State[Any] = State.completed(name="completed")
        states = [begin, *(State(*stage.body, name=stage.phase) for stage in self._stages), end]
        refused: State[Any] = State.failed(code="VALIDATION_FAILED", name="validation_failed")
        for here, then, stage in zip(states, states[1:], (*self._stages, None), strict=False):
            validate = stage.validate if stage else None
            here.to(then, when=validate)
            if validate is not None:
                here.to(refused)
        if any(s.validate for s in self._stages):
            states.append(refused)
        cls = type(_plain(self.name), (), {s.name: s for s in states})
        policies = replace(self._policies, on_failure=self._all(self._failing) or None)
        return build(cls, self.data, self.name, policies)

    @cached_property
    def Phase(self) -> Any:  # noqa: N802 - it is a type
        """A StrEnum of its phases: their names in capitals, the states' names as values."""
        names = ["NOT_STARTED", *(s.phase.upper() for s in self._stages), *RESERVED[1:]]
        return StrEnum(f"{_plain(self.name)}Phase", {n: n.lower() for n in names})

    def phase(self, of: Any) -> Any:
        """The phase of an instance, from what tells of it (`Result`, `Info`): FAILED where it has failed in some phase."""
        phases = self.Phase
        if of.status == "failed" and of.state != "validation_failed":
            return phases["FAILED"]
        return phases((of.state or "not_started").lower())

    def __repr__(self) -> str:
        return f"<Pipeline {self.name}: {', '.join(s.phase for s in self._stages)}>"

    # -- making the next

    def _copy(self, stages: tuple[_Stage, ...] | None = None, failing: tuple[Step, ...] | None = None) -> Pipeline[D]:
        made: Pipeline[D] = Pipeline(self.name, self.data)
        made._policies = self._policies
        made._stages = self._stages if stages is None else stages
        made._failing = self._failing if failing is None else failing
        made._ended = self._ended
        return made

    def _with(self, stage: _Stage) -> Pipeline[D]:
        if self._ended:
            raise BadRequest(f"{self.name} has ended with {self._stages[-1].phase}", remedy="end_with comes last")
        return self._copy((*self._stages, stage))

    def _phase(self, name: str) -> str:
        """Its own, and another one where a step before has it."""
        if not name:
            raise BadRequest("a step that is a lambda has no name", remedy="name=")
        taken = {s.phase for s in self._stages}
        found, n = name, 1
        while found in taken or found.upper() in RESERVED:
            n += 1
            found = f"{name}_{n}"
        return found

    def _activity(self, step: Step, name: str, confidence: float | None = None, **options: Any) -> Any:
        """The step as an activity with these policies besides its own."""
        own = activity_of(step)
        own = replace(own, name=name or own.name, target=adapted(step, self.data, confidence))
        return Recorded(with_policies(own, options, lambda other: self._activity(other, name_of_step(other)).record))

    def _all(self, steps: Any) -> list[Any]:
        return [s if isinstance(s, BodyNode) else self._activity(s, name_of_step(s) or "step") for s in _several(steps)]


class Forked(Generic[D]):
    """A pipeline that runs several ways at the same time; `join` makes one of it again."""

    def __init__(self, before: Pipeline[D], branches: Mapping[str, Steps], name: str | None, width: int | None) -> None:
        if not branches:
            raise BadRequest("fork() of nothing", remedy="fork(stock=[step], invoice=[step])")
        self._before = before
        self._branches = branches
        self._name = name
        self._width = width

    def join(self, merge: Callable[[D, Paths[D]], D | Mapping[str, Any] | None] | None = None) -> Pipeline[D]:
        """Wait for all ways. `merge` is given the state before them and what each has come to; without it the fields that ways

        have changed are put together, by the reducers of the type (two that set a plain field differently fail it).
        """
        before = self._before
        phase = before._phase(self._name or "fork")  # pyright: ignore[reportPrivateUsage]
        ways: Any = {n: before._all(steps) for n, steps in self._branches.items()}  # pyright: ignore[reportPrivateUsage]
        node = parallel(**ways, data="own", into=merge, max_concurrency=self._width, name=phase)
        return before._with(_Stage(phase, (node,)))  # pyright: ignore[reportPrivateUsage]


async def _timed_out(ctx: Context[Any]) -> Fail:
    return Fail("approval_timeout", "nobody has decided in time")


def _form(phase: str, options: Sequence[str]) -> Any:
    if isinstance(options, str) or len(set(options)) < 2:
        raise BadRequest(f"options={options!r}", remedy="two or more different texts")
    fields: Any = [("option", Literal[tuple(options)]), ("comment", str, "")]
    return msgspec.defstruct(f"{_plain(phase)}_form", fields, frozen=True)


def _chosen(into: Any) -> Any:
    """`into` of the task: it is given what was chosen, not the form."""
    if into is None:
        return None

    def field(state: Any, form: Any) -> Any:
        return {into: form.option}

    def mapped(state: Any, form: Any) -> Any:
        return into(state, form.option)

    return field if isinstance(into, str) else mapped


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def _several(steps: Any) -> list[Any]:
    return [] if steps is None else list(cast("Sequence[Any]", steps)) if isinstance(steps, Sequence) else [steps]

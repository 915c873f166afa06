"""Documents of sagas to definitions: everything that is wrong is told at once, with line, column and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from stepkeel.authoring.activity import activity_of
from stepkeel.authoring.check import refused
from stepkeel.authoring.context import Context
from stepkeel.authoring.fitting import fits, input_of, named, order_of
from stepkeel.authoring.graph import Step, step
from stepkeel.authoring.saga import Saga
from stepkeel.authoring.step import Recorded, with_policies
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.document.expression import Expression, ExpressionInvalid, steps_named
from stepkeel.document.form import Report, near
from stepkeel.document.saga import NAMES, SAGA
from stepkeel.document.source import Source, SourceInvalid, Way, read_source
from stepkeel.document.template import Template, TemplateInvalid
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.model.definition import Problem
from stepkeel.model.instant import read_span
from stepkeel.model.node import Activity
from stepkeel.model.policy import Retry
from stepkeel.model.run import Run
from stepkeel.model.schema import Schema, SchemaInvalid

__all__ = ["activities_of", "load"]

_STEPS = "saga/steps:"  # where the builder sees the steps


def load(document: str | Path | Mapping[str, Any], activities: Iterable[Callable[..., Any]] = ()) -> AuthoredDefinition:
    """The definition that a document describes: the path of a YAML or JSON file, or what was read from one.

    activities   those that it may name, by their names (`@activity(name="inventory.reserve")`)
    It starts like a workflow class: `Engine(..., workflows=[load("payment.yaml", activities)])`. Its data are a checked mapping.
    Raises DefinitionError with every problem, each with line, column, path and remedy; BadRequest where there is no such file.
    """
    try:
        source = read_source(Path(document) if isinstance(document, str) else document)
    except SourceInvalid as error:
        raise refused(str(document), [error.problem]) from None
    return _Loader(source, activities_of(activities)).definition()


def activities_of(given: Iterable[Callable[..., Any]]) -> dict[str, Activity]:
    """Activities by name. Raises BadRequest where two of them have one name."""
    found: dict[str, Activity] = {}
    for each in given:
        record = activity_of(each)
        known = found.setdefault(record.name, record)
        if known.target is not record.target:
            text = f"two activities are called {record.name}: {_where(known)} and {_where(record)}"
            raise BadRequest(text, remedy="give one of them another name: @activity(name=...)")
    return found


def _where(activity: Activity) -> str:
    return f"{activity.target.__module__}.{activity.target.__qualname__}"


async def _nothing(ctx: Context[Any]) -> None:
    """In the place of a step that is wrong."""


class _Made:
    """A function of the Run whose source is a template or a condition."""

    def __init__(self, made: Template | Expression, steps: Iterable[str], own: str = "", order: tuple[str, ...] = ()) -> None:
        self.made = made
        self.steps = tuple(steps)
        self.own = own
        self.order = order  # a NamedTuple is stored as the list of its fields
        self.__name__ = self.__stepkeel_source__ = made.__name__

    def __call__(self, run: Run[Any]) -> Any:
        steps = {n: {"output": run.output if n == self.own else run[n]} for n in self.steps}
        value = self.made(run.input, run.input, steps, run.item)
        return [value[n] for n in self.order] if self.order and isinstance(value, dict) else value


class _Outputs:
    """What is brought into the data at the end: fields, made of the data and all outputs."""

    def __init__(self, made: Template) -> None:
        self.made = made
        self.__name__ = self.__stepkeel_source__ = made.__name__

    def __call__(self, data: Any, outputs: Mapping[str, Any]) -> Any:
        return self.made(data, data, {n: {"output": outputs[n]} for n in self.made.steps}, None)


class _Loader:
    def __init__(self, source: Source, activities: Mapping[str, Activity]) -> None:
        self.source = source
        self.report = Report(source)
        self.activities = activities
        self.fields: dict[str, str] = {}
        self.places: dict[str, Way] = {}
        self.names: dict[str, int] = {}

    def definition(self) -> AuthoredDefinition:
        SAGA.check(self.source.data, (), self.report)
        written: Any = self.source.data
        found = self._built(written) if isinstance(written, Mapping) else None  # pyright: ignore[reportUnknownArgumentType]
        if self.report.problems or found is None:
            raise refused(self.source.name, self.report.in_order())
        return found

    def _built(self, written: Mapping[str, Any]) -> AuthoredDefinition | None:
        data = self._data(written)
        options = {n: written[n] for n in ("mode", "max_concurrency", "compensation", "version") if self._good(written, n)}
        options |= self._spans(written, (), ("timeout", "compensation_timeout"))
        if not isinstance(written.get("steps"), list):
            return None
        entries = cast("list[Any]", written["steps"])
        for n, entry in enumerate(entries):
            if isinstance(entry, dict) and isinstance(name := cast("dict[str, Any]", entry).get("name"), str):
                self.names.setdefault(name, n)
        if self._good(written, "output"):
            options["into"] = self._output(written["output"])
        saga = Saga(str(written.get("name")), cast("type[Any]", data), **options)
        for n, entry in enumerate(entries):
            said = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
            made = self._step(said, ("steps", n)) if self._good(said, "name", ("steps", n)) else None
            if made is not None and self.names[made.key] == n:
                saga.add(made)
            elif made is not None:
                text = f"there is a step {made.key} already, at {self.source.place(('steps', self.names[made.key]))}"
                self.report.add("step_twice", ("steps", n, "name"), text, "give it another name")
        if not all(isinstance(e, dict) for e in entries) or not entries:
            return None
        try:
            return saga.definition
        except DefinitionError as error:
            for problem in error.problems:
                self._placed(problem)
            return None
        except BadRequest:
            return None  # no step is left of those that were wrong

    def _good(self, value: Mapping[str, Any], name: str, way: Way = ()) -> bool:
        return name in value and not self.report.wrong((*way, name))

    def _placed(self, problem: Problem) -> None:
        """What the builder has found, at the line of its step."""
        name = problem.place.removeprefix(_STEPS).partition("/")[0] if problem.place.startswith(_STEPS) else ""
        way = self.places.get(name.partition(" ")[0], ())
        remedy = "with: what it is given" if problem.code == "compensation_input" else problem.remedy
        self.report.add(problem.code, way, problem.message, remedy, warning=problem.warning)

    def _data(self, written: Mapping[str, Any]) -> Any:
        if not self._good(written, "input"):
            return dict
        if not isinstance(written["input"], dict):
            self.report.add("bad_value", ("input",), "the input is described by a JSON Schema", "input: {properties: {...}}")
            return dict
        try:
            schema = Schema(str(written.get("name", "input")), cast("dict[str, Any]", written["input"]))
        except SchemaInvalid as error:
            self.report.add("bad_schema", ("input", *error.path), error.message, error.remedy or "")
            return dict
        self.fields = schema.cel_fields("input") | schema.cel_fields("data")
        return schema

    # -- steps

    def _step(self, entry: Mapping[str, Any], way: Way) -> Step[Any] | None:
        name = str(entry["name"])
        self.places.setdefault(name, way)
        needs = dict.fromkeys(self._needs(entry, way))
        activity = self._activity(entry, way)
        options: dict[str, Any] = {}
        given = self._given(entry, way, activity, needs, name)
        if self._good(entry, "when", way):
            options["when"] = self._condition(entry["when"], (*way, "when"), needs, name)
        options |= {n: entry[n] for n in ("into", "optional", "tags") if self._good(entry, n, way)}
        for kind in ("fallback", "compensate"):
            if self._good(entry, kind, way):
                self._second(kind, entry[kind], (*way, kind), options, needs, name)
        options |= self._policies(entry, way)
        if activity is None or self.report.wrong(way):
            return step(name, _nothing, needs=[*needs])  # others may need it, and what is wrong there is to be told too
        return step(name, cast("Any", Recorded(activity)), given, needs=[*needs], **options)

    def _second(self, kind: str, entry: Any, way: Way, options: dict[str, Any], needs: dict[str, None], name: str) -> None:
        """A fallback, or a compensation, and what it is given."""
        if not isinstance(entry, dict):
            return
        own = name if kind == "compensate" else ""
        called = cast("dict[str, Any]", entry)
        activity = self._activity(called, way)
        options[f"{kind}_given"] = self._given(called, way, activity, needs, name, own, inherits=True)
        if activity is not None:
            options[kind] = Recorded(with_policies(activity, self._policies(called, way)))
        if kind == "compensate" and self._good(called, "when", way):
            options["compensate_when"] = called["when"]

    def _needs(self, entry: Mapping[str, Any], way: Way) -> list[str]:
        found: list[str] = []
        for n, name in enumerate(cast("list[Any]", entry.get("needs")) if isinstance(entry.get("needs"), list) else []):
            if not isinstance(name, str):
                continue
            if name in self.names:
                found.append(name)
            else:
                self._unknown_step(name, (*way, "needs", n))
        return found

    def _unknown_step(self, name: str, way: Way, column: int | None = None) -> None:
        self.report.add("unknown_step", way, f"there is no step {name}", near(name, [*self.names]), column=column)

    def _activity(self, entry: Mapping[str, Any], way: Way) -> Activity | None:
        name = entry.get("uses")
        if not isinstance(name, str):
            return None
        found = self.activities.get(name)
        if found is None:
            remedy = near(name, [*self.activities], "load(..., activities=[...]) was given none" if not self.activities else "")
            self.report.add("unknown_activity", (*way, "uses"), f"there is no activity {name}", remedy)
        return found

    def _policies(self, entry: Mapping[str, Any], way: Way) -> dict[str, Any]:
        found: dict[str, Any] = self._spans(entry, way, ("timeout", "deadline"))
        if self._good(entry, "retry", way):
            said: dict[str, Any] = {**entry["retry"]}
            said |= {n: _seconds(said[n]) for n in ("delay", "max_delay") if n in said}
            said |= {n: tuple(said[n]) for n in ("retry_on", "give_up_on") if n in said}
            try:
                found["retry"] = Retry(**said)
            except BadRequest as error:
                self.report.add("bad_value", (*way, "retry"), error.message, error.remedy or "")
        return found

    def _spans(self, entry: Mapping[str, Any], way: Way, names: Iterable[str]) -> dict[str, float]:
        """Those that are given, in seconds."""
        found = {n: _seconds(entry[n]) for n in names if self._good(entry, n, way)}
        for n in [n for n, span in found.items() if not span]:
            self.report.add("bad_value", (*way, n), f"{n}: {entry[n]}", "longer than nothing")
            del found[n]
        return found

    # -- expressions

    def _given(
        self,
        entry: Mapping[str, Any],
        way: Way,
        activity: Activity | None,
        needs: dict[str, None],
        name: str,
        own: str = "",
        *,
        inherits: bool = False,
    ) -> _Made | None:
        """What a `with` makes; each step whose output it asks for is needed. `inherits`: it is given something without it, too."""
        way = (*way, "with")
        wanted = None if activity is None else input_of(activity)
        if "with" not in entry:
            if wanted is not None and not inherits:
                text = f"{cast('Activity', activity).name} expects {named(wanted)}"
                self.report.add("missing_input", way[:-1], text, "with: what it is given")
            return None
        template = self._template(entry["with"], way)
        if template is None:
            return None
        self._need(template.steps, way, needs, name, own)
        if wanted is not None:
            fits(self.report, template, wanted, way)
        return _Made(template, template.steps, own, order_of(wanted))

    def _template(self, value: Any, way: Way) -> Template | None:
        try:
            return Template(value, NAMES, self.fields)
        except TemplateInvalid as error:
            self._bad_expression(error.name, str(error), (*way, *error.path), error.column)
            return None

    def _condition(self, text: str, way: Way, needs: dict[str, None], name: str) -> _Made | None:
        try:
            made = Expression(text, NAMES, self.fields)
            steps = {n: ((), column) for n, column in steps_named(text)}
        except ExpressionInvalid as error:
            self._bad_expression(error.name, str(error), way, error.column)
            return None
        if made.kind not in ("BOOL", "DYN"):
            self.report.add(
                "bad_condition", way, f"it gives {made.kind.lower()}, and a condition is true or false", "compare it: == ..."
            )
        self._need(steps, way, needs, name, "")
        return _Made(made, steps)

    def _bad_expression(self, name: str, message: str, way: Way, column: int) -> None:
        remedy = "Common Expression Language: input.amount >= 100 && has(input.card)"
        head, _, rest = name.partition(".")
        if name and head not in NAMES:
            remedy = near(head, NAMES)
        elif rest:
            remedy = near(rest, [f.partition(".")[2] for f in self.fields if f.startswith(f"{head}.")])
        self.report.add("bad_expression", way, message, remedy, column=column)

    def _need(self, steps: Mapping[str, tuple[Way, int]], way: Way, needs: dict[str, None], name: str, own: str) -> None:
        for each, (inner, column) in steps.items():
            if each not in self.names:
                self._unknown_step(each, (*way, *inner), column)
            elif each != own:
                if each == name:
                    text = f"{name} asks for its own output"
                    self.report.add("own_output", (*way, *inner), text, "that of a step before it", column=column)
                else:
                    needs[each] = None

    def _output(self, value: Any) -> _Outputs | None:
        if not isinstance(value, dict):
            self.report.add(
                "bad_value", ("output",), "output is a mapping of fields", "output: {receipt: '{{ steps.pay.output }}'}"
            )
            return None
        template = self._template(value, ("output",))
        if template is None:
            return None
        for each, (inner, column) in template.steps.items():
            if each not in self.names:
                self._unknown_step(each, ("output", *inner), column)
        return _Outputs(template)


def _seconds(value: Any) -> float:
    return (read_span(value) or 0) / 1e6

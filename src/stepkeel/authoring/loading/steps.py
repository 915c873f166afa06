"""Steps of sagas and graphs, and activities in bodies: what they are given is made of templates, which say what they need."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from stepkeel.authoring.activity import input_of, order_of
from stepkeel.authoring.context import Context
from stepkeel.authoring.graph import step
from stepkeel.authoring.loading.fitting import fits, named
from stepkeel.authoring.loading.reader import Reader
from stepkeel.authoring.node import Step
from stepkeel.authoring.step import Recorded, with_policies
from stepkeel.document.expression import Expression, ExpressionInvalid, steps_named
from stepkeel.document.form import near
from stepkeel.document.formula import STEP, OfRun, Outputs
from stepkeel.document.source import Way
from stepkeel.document.template import Template, TemplateInvalid
from stepkeel.model.node import Activity

__all__ = ["OF_ACTIVITY", "Steps"]

OF_ACTIVITY = {"with", "into", "retry", "timeout", "deadline", "optional", "fallback", "compensate"}


async def _nothing(ctx: Context[Any]) -> None:
    """In the place of a step that is wrong."""


class _Scope:
    """The steps of one graph, and which of them is being read."""

    def __init__(self, entries: list[Any], way: Way) -> None:
        self.way = way
        self.names: dict[str, int] = {}
        self.name = ""
        self.needs: dict[str, None] = {}
        for n, entry in enumerate(entries):
            if isinstance(entry, dict) and isinstance(name := cast("dict[str, Any]", entry).get("name"), str):
                self.names.setdefault(name, n)


class Steps(Reader):
    """Reads the steps of graphs."""

    scope: _Scope | None = None

    @contextmanager
    def graph(self, entries: list[Any], way: Way) -> Generator[None]:
        """Within it, expressions may ask for the outputs of these steps."""
        outer, self.scope = self.scope, _Scope(entries, way)
        yield
        self.scope = outer

    def steps(self, entries: list[Any], way: Way) -> list[Step[Any]]:
        """Those of a graph, within its scope."""
        scope = cast("_Scope", self.scope)
        found: list[Step[Any]] = []
        for n, entry in enumerate(entries):
            said = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
            if not self.good(said, "name", (*way, n)):
                continue
            made = self._step(said, (*way, n), scope)
            first = scope.names[made.key]
            if first == n:
                found.append(made)
            else:
                text = f"there is a step {made.key} already, at {self.source.place((*way, first))}"
                self.report.add("step_twice", (*way, n, "name"), text, "give it another name")
        return found

    def _step(self, entry: Mapping[str, Any], way: Way, scope: _Scope) -> Step[Any]:
        name = str(entry["name"])
        scope.name, scope.needs = name, dict.fromkeys(self._needs(entry, way, scope))
        needs = scope.needs
        options: dict[str, Any] = {}
        if self.good(entry, "when", way):
            options["when"] = self._asked(entry["when"], (*way, "when"))
        body: list[Any] = []
        if "body" in entry:
            body = self.body_of(entry, way, name)
            scope.name, scope.needs = name, needs
        elif "uses" not in entry:
            self.report.add("missing_field", way, "a step needs uses, or a body", "uses: the name of an activity")
        if body and not self.report.wrong(way):
            return Step(name, tuple(body), None, {**options, "needs": [*needs], **self.some(entry, way, "tags")}, way)
        made = self.call(entry, way, name, graph=True)
        if made is None or self.report.wrong(way):
            return step(name, _nothing, needs=[*needs])  # others may need it, and what is wrong there is to be told too
        return Step(name, made.body, made.given, {**made.options, **options, "needs": [*needs]}, way)

    def body_of(self, entry: Mapping[str, Any], way: Way, name: str) -> list[Any]:
        """The body of a step that says it has one; what else it may not say then is told."""
        if "uses" in entry:
            self.report.add("bad_step", (*way, "body"), f"{name} has an activity and a body", "one of them")
            return []
        said = sorted(entry.keys() & OF_ACTIVITY)
        if said:
            text = f"{said[0]} of the step {name}, which has a body"
            self.report.add("bad_step", (*way, said[0]), text, "say it of the activities in it")
        body = self.body(entry["body"], (*way, "body"))
        if not body and not self.report.wrong(way):
            self.report.add("missing_field", (*way, "body"), f"the body of {name} is empty", "give it a node")
        return body

    def call(self, entry: Mapping[str, Any], way: Way, name: str, *, graph: bool) -> Step[Any] | None:
        """An activity, what it is given and where its output goes; None where something is wrong with it."""
        activity = self.activity(entry, way)
        given = self.given(entry, way, activity, bare=not graph)
        options = self.some(entry, way, "optional", "tags")
        if self.good(entry, "into", way):
            options["into"] = self.into(entry["into"], (*way, "into"))
        for kind in ("fallback", "compensate"):
            if self.good(entry, kind, way):
                self._second(kind, entry[kind], (*way, kind), options, name)
        options |= self.policies(entry, way)
        if activity is None or self.report.wrong(way):
            return None
        return Step(name, (Recorded(activity),), given, options, way)

    def _second(self, kind: str, entry: Any, way: Way, options: dict[str, Any], name: str) -> None:
        """A fallback, or a compensation, and what it is given."""
        if not isinstance(entry, dict):
            return
        own = name if kind == "compensate" else ""
        called = cast("dict[str, Any]", entry)
        activity = self.activity(called, way)
        options[f"{kind}_given"] = self.given(called, way, activity, own, inherits=True)
        if activity is not None:
            options[kind] = Recorded(with_policies(activity, self.policies(called, way)))
        if kind == "compensate" and self.good(called, "when", way):
            options["compensate_when"] = called["when"]

    def _needs(self, entry: Mapping[str, Any], way: Way, scope: _Scope) -> list[str]:
        found: list[str] = []
        for n, name in enumerate(cast("list[Any]", entry.get("needs")) if isinstance(entry.get("needs"), list) else []):
            if not isinstance(name, str):
                continue
            if name in scope.names:
                found.append(name)
            else:
                self._unknown(name, (*way, "needs", n))
        return found

    def _unknown(self, name: str, way: Way, column: int | None = None) -> None:
        known = [*self.scope.names] if self.scope else []
        self.report.add("unknown_step", way, f"there is no step {name}", near(name, known), column=column)

    # -- expressions

    def given(
        self,
        entry: Mapping[str, Any],
        way: Way,
        activity: Activity | None,
        own: str = "",
        *,
        inherits: bool = False,
        bare: bool = False,
    ) -> OfRun | None:
        """What a `with` makes; each step whose output it asks for is needed.

        `inherits`: it is given something without it, too; `bare`: it may be, by what stands around it.
        """
        way = (*way, "with")
        wanted = None if activity is None else input_of(activity)
        if "with" not in entry:
            if wanted is not None and not inherits and not bare:
                text = f"{cast('Activity', activity).name} expects {named(wanted)}"
                self.report.add("missing_input", way[:-1], text, "with: what it is given")
            return None
        template = self._template(entry["with"], way)
        if template is None:
            return None
        self._need(template.steps, way, own)
        if wanted is not None:
            fits(self.report, template, wanted, way)
        return OfRun(template, template.steps, own, order_of(wanted))

    def output(self, said: Any, way: Way) -> Outputs | None:
        """What becomes of the outputs, in the end."""
        if not isinstance(said, dict):
            text = "output is a mapping of fields"
            self.report.add("bad_value", way, text, "output: {receipt: '{{ steps.pay.output }}'}")
            return None
        template = self._template(said, way)
        if template is None:
            return None
        scope = cast("_Scope", self.scope)
        for each, (inner, column) in template.steps.items():
            if each not in scope.names:
                self._unknown(each, (*way, *inner), column)
        return Outputs(template)

    def _template(self, said: Any, way: Way) -> Template | None:
        try:
            return Template(said, STEP, self.fields)
        except TemplateInvalid as error:
            self.bad_expression(error, way, STEP, self.fields)
            return None

    def _asked(self, text: str, way: Way) -> OfRun | None:
        try:
            made = Expression(text, STEP, self.fields)
            steps = {n: ((), column) for n, column in steps_named(text)}
        except ExpressionInvalid as error:
            self.bad_expression(error, way, STEP, self.fields)
            return None
        if made.kind not in ("BOOL", "DYN"):
            text = f"it gives {made.kind.lower()}, and a condition is true or false"
            self.report.add("bad_condition", way, text, "compare it: == ...")
        self._need(steps, way, "")
        return OfRun(made, steps)

    def _need(self, steps: Mapping[str, tuple[Way, int]], way: Way, own: str) -> None:
        scope = self.scope
        for each, (inner, column) in steps.items():
            if scope is None and own and each == own:
                continue
            if scope is None or each not in scope.names:
                self._unknown(each, (*way, *inner), column)
            elif each != own:
                if each == scope.name:
                    text = f"{scope.name} asks for its own output"
                    self.report.add("own_output", (*way, *inner), text, "that of a step before it", column=column)
                else:
                    scope.needs[each] = None

"""What may stand in a document, as tables: each tells what is wrong with a value, and the JSON Schema that editors check it by."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from stepkeel.document.source import Source, Way
from stepkeel.model.definition import Problem
from stepkeel.model.instant import read_span

__all__ = [
    "Anything",
    "Either",
    "Flag",
    "Form",
    "Kinds",
    "ListOf",
    "MapOf",
    "Number",
    "Report",
    "Shape",
    "Span",
    "Text",
    "Whole",
    "near",
]


def near(name: str, known: Sequence[str], otherwise: str = "") -> str:
    """`did you mean reserve?`, or what there is."""
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else otherwise or f"known: {', '.join(known) or 'none'}"


class Report:
    """Collects what is wrong with a document, each with line, column and path."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self._ways: list[Way] = []
        self._marks: list[tuple[int, int]] = []

    def add(self, code: str, way: Way, message: str, remedy: str, *, column: int | None = None, warning: bool = False) -> None:
        if not warning:
            self._ways.append(way)
        self._marks.append(self.source.mark(way, column))
        self.problems.append(Problem(code, self.source.place(way, column), message, remedy, warning))

    def in_order(self) -> list[Problem]:
        """As they stand in the document."""
        return [p for _, p in sorted(zip(self._marks, self.problems, strict=True), key=lambda each: each[0])]

    @property
    def ways(self) -> list[Way]:
        """Where something is wrong."""
        return [*self._ways]

    def wrong(self, way: Way) -> bool:
        """Something at it, or within it, has been told."""
        return any(each[: len(way)] == way for each in self._ways)


class Shape:
    """A kind of value. `called` is what messages say it should be."""

    called: str

    def check(self, value: Any, way: Way, report: Report) -> None:
        """Tell what is wrong with it."""

    def schema(self) -> dict[str, Any]:
        return {}

    def refuse(self, value: Any, way: Way, report: Report, remedy: str = "") -> None:
        shown = "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)
        report.add("bad_value", way, f"{shown} is no {self.called}", remedy or f"a {self.called}")


class Anything(Shape):
    """A value with templates in it."""

    called = "value"


@dataclass(frozen=True)
class Text(Shape):
    choices: tuple[str, ...] = ()
    pattern: str = ""
    called: str = "text"

    def check(self, value: Any, way: Way, report: Report) -> None:
        if not isinstance(value, str) or not value:
            self.refuse(value, way, report)
        elif self.choices and value not in self.choices:
            report.add("bad_value", way, f"{value!r}", near(value, self.choices))
        elif self.pattern and not re.fullmatch(self.pattern, value):
            report.add("bad_value", way, f"{value!r} is no {self.called}", "letters, digits, - and _")

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "string", "minLength": 1}
        if self.choices:
            return found | {"enum": [*self.choices]}
        return found | ({"pattern": f"^{self.pattern}$"} if self.pattern else {})


@dataclass(frozen=True)
class Flag(Shape):
    called: str = "true or false"

    def check(self, value: Any, way: Way, report: Report) -> None:
        if not isinstance(value, bool):
            report.add("bad_value", way, f"{value!r}", "true or false")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Whole(Shape):
    least: int = 1
    most: int = 1_000_000
    called: str = "whole number"

    def check(self, value: Any, way: Way, report: Report) -> None:
        if type(value) is not int or not self.least <= value <= self.most:
            report.add("bad_value", way, f"{value!r}", f"a whole number from {self.least} to {self.most}")

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Number(Shape):
    least: float = 0
    most: float = 1e9
    called: str = "number"

    def check(self, value: Any, way: Way, report: Report) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.least <= value <= self.most:
            report.add("bad_value", way, f"{value!r}", f"a number from {self.least:g} to {self.most:g}")

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Span(Shape):
    called: str = "span of time"

    def check(self, value: Any, way: Way, report: Report) -> None:
        if isinstance(value, bool) or read_span(value) is None:
            report.add("bad_value", way, f"{value!r} is no span of time", "seconds, or a text like 500ms, 30s, 10m, 2h, 3d, 1h30m")

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"}]}


@dataclass(frozen=True)
class ListOf(Shape):
    each: Shape
    called: str = "list"
    least: int = 0

    def check(self, value: Any, way: Way, report: Report) -> None:
        if not isinstance(value, list) or len(cast("list[Any]", value)) < self.least:
            self.refuse(value, way, report, "" if not self.least else f"a {self.called} of at least {self.least}")
            return
        for n, item in enumerate(cast("list[Any]", value)):
            self.each.check(item, (*way, n), report)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.each.schema()} | ({"minItems": self.least} if self.least else {})


@dataclass(frozen=True)
class Form(Shape):
    """A mapping with these fields. `told` describes each of them; `needed` must be there."""

    called: str
    fields: Mapping[str, Shape]
    needed: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict[str, str])
    also: Callable[[Mapping[str, Any], Way, Report], None] | None = None

    def check(self, value: Any, way: Way, report: Report) -> None:
        if not isinstance(value, Mapping):
            self.refuse(value, way, report, f"a mapping with {', '.join(self.needed or self.fields)}")
            return
        given = cast("Mapping[str, Any]", value)
        for name in given:
            if name not in self.fields:
                report.add("unknown_field", (*way, name), f"a {self.called} has no {name}", near(name, [*self.fields]))
        for name in self.needed:
            if name not in given:
                report.add("missing_field", way, f"a {self.called} needs {name}", f"{name}: {self.told.get(name, '...')}")
        for name, shape in self.fields.items():
            if name in given:
                shape.check(given[name], (*way, name), report)
        if self.also is not None:
            self.also(given, way, report)

    def schema(self) -> dict[str, Any]:
        properties = {n: s.schema() | ({"description": self.told[n]} if n in self.told else {}) for n, s in self.fields.items()}
        found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        return found | ({"required": [*self.needed]} if self.needed else {})


@dataclass(frozen=True)
class MapOf(Shape):
    """A mapping of names to values of one kind."""

    each: Shape
    called: str = "mapping"

    def check(self, value: Any, way: Way, report: Report) -> None:
        if not isinstance(value, Mapping) or not value:
            self.refuse(value, way, report)
            return
        for name, item in cast("Mapping[str, Any]", value).items():
            self.each.check(item, (*way, name), report)

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.each.schema(), "minProperties": 1}


@dataclass(frozen=True)
class Either(Shape):
    """One kind where the value is of these JSON types, else the other: a name or a mapping, one or a list."""

    kinds: tuple[type, ...]
    first: Shape
    other: Shape

    @property
    def called(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{self.first.called} or {self.other.called}"

    def check(self, value: Any, way: Way, report: Report) -> None:
        (self.first if type(value) in self.kinds else self.other).check(value, way, report)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.first.schema(), self.other.schema()]}


class Kinds(Shape):
    """A mapping that is of one of several forms: the first of which the field that it is called by is there.

    `plain`: what a text stands for; its schema stands under `name` in `$defs`, for it may hold itself.
    """

    called = "node"

    def __init__(self, name: str, plain: Shape) -> None:
        self.name = name
        self.plain = plain
        self.forms: dict[str, Form] = {}  # filled in later: a form may speak of this

    def of(self, value: Mapping[str, Any]) -> str:
        """Which of them it is; empty if none."""
        return next((kind for kind in self.forms if kind in value), "")

    def check(self, value: Any, way: Way, report: Report) -> None:
        if not isinstance(value, Mapping):
            self.plain.check(value, way, report)
            return
        given = cast("Mapping[str, Any]", value)
        kind = self.of(given)
        if kind:
            self.forms[kind].check(given, way, report)
            return
        named = ", ".join(given) or "nothing"
        known = near(next(iter(given), ""), [*self.forms])
        report.add("unknown_node", way, f"a node of {named}", known)

    def schema(self) -> dict[str, Any]:
        return {"$ref": f"#/$defs/{self.name}"}

    def definition(self) -> dict[str, Any]:
        """What the reference leads to."""
        return {"anyOf": [self.plain.schema(), *(form.schema() for form in self.forms.values())]}

"""What reading any part of a document needs: names that are known, policies, types, expressions. All problems are collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, cast

from stepkeel.authoring.concurrent import Join, Own
from stepkeel.authoring.state import State
from stepkeel.document.expression import ExpressionInvalid
from stepkeel.document.form import Report, near
from stepkeel.document.formula import Formula, condition, remedy_of, value
from stepkeel.document.source import Source, Way
from stepkeel.document.template import TemplateInvalid
from stepkeel.errors import BadRequest, DataInvalid
from stepkeel.model.calendar import Calendar
from stepkeel.model.codec import Codec
from stepkeel.model.definition import Definition, Problem
from stepkeel.model.instant import read_span
from stepkeel.model.join import Arrivals
from stepkeel.model.node import Activity
from stepkeel.model.policy import Limit, Retry
from stepkeel.model.schema import Schema, SchemaInvalid

__all__ = ["Known", "Reader", "seconds"]


class Known:
    """What a document may name: activities, types, other workflows."""

    def __init__(self, activities: Mapping[str, Activity], types: Mapping[str, Any], workflows: Mapping[str, Definition]) -> None:
        self.activities = activities
        self.types = types
        self.workflows = workflows


def seconds(said: Any) -> float:
    return (read_span(said) or 0) / 1e6


class Reader:
    """The parts of a document that stand in many places."""

    def __init__(self, source: Source, known: Known) -> None:
        self.source = source
        self.report = Report(source)
        self.known = known
        self.fields: dict[str, str] = {}  # what is known of the types in the data
        self.data: Any = dict
        self.codec = Codec(dict)
        self.signals: dict[str, Any] = {}
        self.calendars: Mapping[str, Any] = {}
        self.states: dict[str, State[Any]] = {}
        self.broken: list[Way] = []  # where something is of another kind than it has to be
        self.origins: dict[str, Way] = {}  # where the builder sees things -> where they stand in the document

    # -- parts that hold each other

    def body(self, value: Any, way: Way) -> list[Any]:
        """The items of a body."""
        raise NotImplementedError

    def good(self, said: Mapping[str, Any], name: str, way: Way = ()) -> bool:
        """It is there, and nothing is wrong with it."""
        return name in said and not self.report.wrong((*way, name))

    def intact(self, way: Way) -> bool:
        """All in it is of the kinds that it has to be."""
        return not any(each[: len(way)] == way for each in self.broken)

    def some(self, said: Mapping[str, Any], way: Way, *names: str) -> dict[str, Any]:
        """Those of some fields that are there and right."""
        return {n: said[n] for n in names if self.good(said, n, way)}

    def placed(self, problem: Problem) -> None:
        """What the builder has found, at its line."""
        place, way = problem.place.partition(" (")[0], None
        while way is None and place:
            way = self.origins.get(place)
            place = place[: max(place.rfind(c) for c in "/:!. ")] if any(c in place for c in "/:!. ") else ""
        remedy = "with: what it is given" if problem.code == "compensation_input" else problem.remedy
        self.report.add(problem.code, way or (), problem.message, remedy, warning=problem.warning)

    # -- values

    def spans(self, said: Mapping[str, Any], way: Way, *names: str) -> dict[str, float]:
        """Those that are given, in seconds."""
        found = {n: seconds(said[n]) for n in names if self.good(said, n, way)}
        for n in [n for n, span in found.items() if not span]:
            self.report.add("bad_value", (*way, n), f"{n}: {said[n]}", "longer than nothing")
            del found[n]
        return found

    def policies(self, said: Mapping[str, Any], way: Way) -> dict[str, Any]:
        found: dict[str, Any] = self.spans(said, way, "timeout", "deadline")
        if self.good(said, "retry", way):
            retry: dict[str, Any] = {**said["retry"]}
            retry |= {n: seconds(retry[n]) for n in ("delay", "max_delay") if n in retry}
            retry |= {n: tuple(retry[n]) for n in ("retry_on", "give_up_on") if n in retry}
            found |= self.asked({"retry": lambda: Retry(**retry)}, way)
        return found

    def asked(self, made: Mapping[str, Any], way: Way) -> dict[str, Any]:
        """What can be made of each; what refuses is told at its place."""
        found: dict[str, Any] = {}
        for name, make in made.items():
            try:
                found[name] = make()
            except (BadRequest, TypeError, ValueError) as error:
                told = error if isinstance(error, BadRequest) else BadRequest(str(error))
                remedy = told.remedy or "see the reference of documents"
                self.report.add("bad_value", (*way, name) if name else way, told.message, remedy)
        return found

    def activity(self, said: Mapping[str, Any], way: Way) -> Activity | None:
        name = said.get("uses")
        return self.activity_called(name, (*way, "uses")) if isinstance(name, str) else None

    def activity_called(self, name: str, way: Way) -> Activity | None:
        found = self.known.activities.get(name)
        if found is None:
            every = [*self.known.activities]
            remedy = near(name, every, "load(..., activities=[...]) was given none" if not every else "")
            self.report.add("unknown_activity", way, f"there is no activity {name}", remedy)
        return found

    def typed(self, said: Any, way: Way, name: str) -> Any:
        """The type that a JSON Schema, or the name of a type that was given, describes; None where it is wrong."""
        if isinstance(said, str):
            found = self.known.types.get(said)
            if found is None:
                remedy = near(said, [*self.known.types], "a JSON Schema, or load(..., types=[...])")
                self.report.add("unknown_type", way, f"there is no type {said}", remedy)
            return found
        if not isinstance(said, dict):
            self.report.add("bad_value", way, "it is described by a JSON Schema", "{properties: {...}}")
            return None
        schema = cast("dict[str, Any]", said)
        named = self.known.types.get(str(schema.get("x-type")))
        if named is not None:
            return named
        try:
            return Schema(str(schema.get("title", name)), schema)
        except SchemaInvalid as error:
            self.report.add("bad_schema", (*way, *error.path), error.message, error.remedy or "")
            return None

    def use_data(self, kind: Any) -> None:
        """From now on the data are of this type."""
        self.data = kind
        try:
            self.codec = Codec(kind)
        except DataInvalid:
            return  # told where the definition is built
        self.fields = self.codec.cel_fields("data") | self.codec.cel_fields("input")

    def calendar(self, said: Any, way: Way) -> Calendar | None:
        if isinstance(said, str):
            if said not in self.calendars:
                self.report.add("unknown_calendar", way, f"there is no calendar {said}", near(said, [*self.calendars]))
                return None
            return self.calendar(self.calendars[said], ("calendars", said))
        if not isinstance(said, dict):
            return None
        options = {**cast("dict[str, Any]", said)}
        if isinstance(options.get("days"), dict):
            options["days"] = {d: _pairs(h) for d, h in cast("dict[str, Any]", options["days"]).items()}
        if "hours" in options:
            options["hours"] = _pairs(options["hours"])
        return self.asked({"": lambda: Calendar(**options)}, way).get("")

    def join(self, said: Any, way: Way) -> Join | None:
        options: dict[str, Any] = {**cast("dict[str, Any]", said)} if isinstance(said, dict) else {"need": said}
        need = options.get("need")
        if isinstance(need, str) and need not in ("all", "any"):
            at = (*way, "need") if isinstance(said, dict) else way
            made = self.value(need, at, ("outcomes", "results", "open", "size"), "expression")
            if made is None:
                return None
            options["need"] = _OfArrivals(made)
        return self.asked({"": lambda: Join(**options)}, way).get("")

    def own_data(self, said: Any, way: Way) -> Any:
        """`shared`, `own`, or Own."""
        if not isinstance(said, dict):
            return said
        back = cast("dict[str, Any]", said)["own"]
        return self.asked({"own": lambda: Own(tuple(back) if isinstance(back, list) else back)}, way).get("own", "own")  # pyright: ignore[reportUnknownArgumentType]

    def limits(self, said: Any, way: Way) -> list[Limit]:
        """One, or several."""
        if not self.intact(way):
            return []
        found: list[Limit] = []
        for n, each in enumerate(cast("list[Any]", said) if isinstance(said, list) else [said]):
            at = (*way, n) if isinstance(said, list) else way
            key = self.value(each["key"], (*at, "key"), ("data", "item"), "expression") if "key" in each else None
            per = seconds(each["per"]) if "per" in each else None
            found += self.asked({"": partial(Limit, each["n"], per, key, each.get("name", ""))}, at).values()
        return found

    # -- expressions

    def condition(self, text: str, way: Way, also: Mapping[str, Any] | None = None) -> Any:
        """The text of a condition, compiled; None where it is wrong."""
        names, fields = self._names(also)
        try:
            return condition(text, names, fields)
        except ExpressionInvalid as error:
            self.bad_expression(error, way, names, fields)
            return None

    def value(
        self, said: Any, way: Way, names: Iterable[str] = ("data",), reads: str = "any", also: Mapping[str, Any] | None = None
    ) -> Formula | None:
        """A value of templates, compiled."""
        more, fields = self._names(also)
        every = tuple(dict.fromkeys((*names, *more[1:])))
        try:
            return value(said, every, fields, reads)
        except (ExpressionInvalid, TemplateInvalid) as error:
            self.bad_expression(error, way, every, fields)
            return None

    def into(self, said: Any, way: Way, called: str = "result", kind: Any = None) -> Any:
        """A field, or a function that sets some."""
        if isinstance(said, str):
            return said
        known = self.codec.fields
        for field in said:
            if known is not None and field not in known:
                self.report.add("unknown_field", (*way, field), f"the data have no field {field}", near(field, [*known]))
        return self.value(said, way, ("data", called), "fields", {called: kind})

    def maybe(self, said: Any, way: Way, reads: str = "any", names: Iterable[str] = ("data", "item")) -> Any:
        """A text as it is, or compiled where there is an expression in it."""
        if isinstance(said, str) and "{{" in said:
            return self.value(said, way, names, reads)
        return seconds(said) if reads in ("span", "due") and read_span(said) is not None else said

    def _names(self, also: Mapping[str, Any] | None) -> tuple[tuple[str, ...], dict[str, str]]:
        known = {**self.fields}
        for name, kind in (also or {}).items():
            known |= Codec(kind).cel_fields(name) if kind is not None else {}
        return ("data", *(also or {})), known

    def bad_expression(
        self, error: ExpressionInvalid | TemplateInvalid, way: Way, names: Iterable[str], fields: Mapping[str, str]
    ) -> None:
        at = (*way, *error.path) if isinstance(error, TemplateInvalid) else way
        self.report.add(
            getattr(error, "code", "bad_expression"), at, str(error), remedy_of(error, names, fields), column=error.column
        )


def _pairs(hours: Any) -> Any:
    """Lists as the tuples that they mean."""
    return tuple(_pairs(h) if isinstance(h, list) else h for h in cast("list[Any]", hours)) if isinstance(hours, list) else hours


class _OfArrivals:
    """What a join needs, as an expression over what has arrived."""

    def __init__(self, made: Formula) -> None:
        self.made = made
        self.source: Any = made.source
        self.__name__ = self.__stepkeel_source__ = made.__name__

    def __call__(self, arrivals: Arrivals) -> Any:
        return self.made(dict(arrivals.outcomes), dict(arrivals.results), arrivals.open, arrivals.size)

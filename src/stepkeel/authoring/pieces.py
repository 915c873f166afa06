"""The pieces that nodes are made of: functions, however they are written; signals; the data type. All problems are collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepkeel.authoring.check import Problems, check_field, check_into
from stepkeel.authoring.signal import signal_name, signal_type
from stepkeel.authoring.source import code_of, digest, takes
from stepkeel.document.expression import ExpressionInvalid
from stepkeel.document.formula import condition, remedy_of, value
from stepkeel.document.template import TemplateInvalid
from stepkeel.errors import BadRequest, DataInvalid
from stepkeel.model.codec import Codec
from stepkeel.model.definition import SignalType
from stepkeel.model.fact import Fact
from stepkeel.model.function import Function, Mapper

__all__ = ["Pieces"]

Also = Mapping[str, Any]  # what a function is given besides the data, by the name that a text has for it, and its type
NOTHING_ELSE: Also = {}


class Pieces:
    """Makes the functions of one workflow: its signals and the code of its functions are gathered on the way."""

    def __init__(self, data: Any, name: str, problems: Problems) -> None:
        self.name = name
        self.problems = problems
        self.signals: dict[str, SignalType] = {}
        self.codes: list[tuple[str, str]] = []
        self.tags: dict[str, frozenset[str]] = {}
        self.gives = False  # what activities return is the result of an item: within the body of a for_each that asks for it
        self.data = self._data_codec(data)
        self.held: tuple[str, ...] = ()  # the pools of the holds around what is being built
        self._nested: set[tuple[str, str]] = set()

    def _data_codec(self, kind: Any) -> Codec:
        if kind is None:
            self.problems.add("no_data_type", self.name, "the data type is missing", f"class {self.name}(Workflow[YourData])")
            return Codec(Any)
        try:
            return Codec(kind)
        except DataInvalid as error:
            self.problems.add("bad_data_type", self.name, error.message, error.remedy or "use a type with named fields")
            return Codec(Any)

    def holds(self, place: str, pools: list[str]) -> None:
        """From here on these are held, too. Two orders of the same pools may wait for each other for ever."""
        for outer in self.held:
            for inner in pools:
                self._nested.add((outer, inner))
                if (inner, outer) in self._nested:
                    text = f"it holds {inner} within {outer}, and elsewhere {outer} is held within {inner}"
                    remedy = "one order everywhere, or one hold of both: else two instances can wait for each other for ever"
                    self.problems.add("hold_order", place, text, remedy, warning=True)
        self.held = (*self.held, *pools)

    # -- functions

    def function(self, call: Callable[..., Any], place: str) -> Function:
        name = call.name if isinstance(call, Fact) else getattr(call, "__name__", type(call).__name__)
        name = place if name == "<lambda>" else name
        text: str = call.text if isinstance(call, Fact) else getattr(call, "__stepkeel_source__", "")
        code = digest(text) if text else "" if isinstance(call, Fact) else code_of(call)
        if text or not isinstance(call, Fact):
            self.codes.append((text or name, code))
        item = bool(getattr(call, "__stepkeel_item__", False))
        return Function(call, name, code, call if isinstance(call, Fact) else None, item, text)

    def guard(self, call: Any, place: str, also: Also = NOTHING_ELSE) -> Function | None:
        """A function that may be given as the text of a condition."""
        if isinstance(call, str):
            names, fields = ("data", *also), self._fields(also)
            call = self.compiled(place, lambda: condition(call, names, fields), names, fields)
        return None if call is None else self.function(call, place)

    def reading(self, given: Any, place: str, reads: str, also: Also = NOTHING_ELSE) -> Function:
        """A function that may be given as a text or a value of templates."""
        if not callable(given):
            names, fields = ("data", *also), self._fields(also)
            made = self.compiled(place, lambda: value(given, names, fields, reads), names, fields)
            given = made or dict
        return self.function(given, place)

    def _fields(self, also: Also) -> dict[str, str]:
        known = {**self.data.cel_fields("data"), **self.data.cel_fields("input")}
        for name, kind in also.items():
            if kind is not None and kind is not list:
                try:
                    known |= Codec(kind).cel_fields(name)
                except DataInvalid:
                    continue  # told where it is declared
        return known

    def compiled(self, place: str, make: Callable[[], Any], names: Sequence[str], fields: Mapping[str, str]) -> Any:
        """What a text over these names is compiled to; None where it is wrong, which is told."""
        try:
            return make()
        except (ExpressionInvalid, TemplateInvalid) as error:
            remedy = remedy_of(error, names, fields)
            self.problems.add("bad_expression", place, f"at {error.column + 1}: {error}", remedy)
        except BadRequest as error:
            self.problems.add("bad_expression", place, error.message, error.remedy or "")
        return None

    def mapper(self, into: Any, place: str, kind: Any, called: str = "result") -> Mapper | None:
        """Where something goes, which texts call `called`: a field, a function, or a mapping of fields to templates."""
        if into is None:
            return None
        if isinstance(into, str):
            check_into(self.problems, self.data, into, kind, place)
            return Mapper(field=into)
        if isinstance(into, Mapping):
            for field in into:  # pyright: ignore[reportUnknownVariableType]
                check_field(self.problems, self.data, str(field), place)  # pyright: ignore[reportUnknownArgumentType]
        return Mapper(function=self.reading(into, place, "fields", {called: kind}))

    def of_item(self, call: Any, place: str, reads: str = "any") -> Any:
        """A value as it is; a function of the data, or of the data and the item of the for_each around it; or templates of them."""
        if isinstance(call, Mapping) or (isinstance(call, str) and "{{" in call):
            return self.reading(call, place, reads, {"item": None})
        if not callable(call):
            return call
        return replace(self.function(call, place), item=takes(call) > 1)

    # -- signals

    def signal(self, kind: type[Any], place: str) -> str:
        name = signal_name(kind)
        known = self.signals.get(name)
        if known is None:
            try:
                self.signals[name] = signal_type(kind)
            except DataInvalid as error:
                self.problems.add("bad_signal_type", place, error.message, "subclass Signal, or use a dataclass")
        elif known.type is not kind:
            text = f"two signals are called {name}: {known.codec.name} and {kind.__name__}"
            self.problems.add("signal_name_twice", place, text, "give one of them name=")
        return name

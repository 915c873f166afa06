"""Pure functions written as text, for the kernel to call as it calls an author's own: conditions, and values of templates.

| it belongs to | and sees, besides `data` (also called `input`) |
|---|---|
| a way out, a choice, a loop, a wait for a condition | - |
| a way out by a signal, a wait for one | `signal` |
| a way out by a failure | `failure`: code, message, path, attempt |
| what brings into the data what a node gave | `result` |
| what a task, a child, a message is about | `item` of the for_each around it |
| a step of a graph | `steps.NAME.output`, `item` |

A condition may ask where the instance stands, too: `at('pick')`, `done('parallel:stock')`, `started(...)`, `visits('Pay') < 3`,
`size('lines')`, `children('Order')`, `branches_open()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from stepkeel.document.expression import Expression, ExpressionInvalid, Fields, tokens_of
from stepkeel.document.form import near
from stepkeel.document.template import Template, TemplateInvalid
from stepkeel.model.fact import Ask, Fact
from stepkeel.model.instant import read_span
from stepkeel.model.run import Run

__all__ = ["STEP", "Formula", "OfRun", "Outputs", "condition", "remedy_of", "value"]

STEP = ("input", "data", "steps", "item")  # what a step's functions see
_FACTS: dict[str, str] = {
    "at": "bool", "done": "bool", "started": "bool", "visits": "int", "size": "int", "children": "int", "branches_open": "int",
}  # fmt: skip
_CALL = re.compile(r"\s*\(\s*(?:\"([^\"\\]*)\"|'([^'\\]*)')?\s*\)")


class Formula:
    """A function of the values of `names`, in their order; what it gives is read as `reads`. `source` is how it was written."""

    __slots__ = ("__name__", "__stepkeel_item__", "__stepkeel_source__", "_made", "_read", "names", "source")

    def __init__(self, made: Expression | Template, names: Sequence[str], reads: str, source: Any = None) -> None:
        self._made = made
        self._read = _READERS[reads]
        self.names = tuple(names)
        self.source: Any = made.source if source is None else source
        self.__name__ = self.__stepkeel_source__ = source or made.__name__
        self.__stepkeel_item__ = "item" in names and "item" in self.__name__

    def __call__(self, *values: Any) -> Any:
        given = values + (None,) * (len(self.names) - len(values))
        return self._read(self._made(*given, values[0]))

    def with_facts(self, asked: Sequence[tuple[str, str]]) -> Fact:
        """The same, where the last variables are what was asked about positions."""
        own = len(self.names) - len(asked)

        def holds(ask: Ask, args: tuple[Any, ...]) -> bool:
            given = args[:own] + (None,) * (own - len(args[:own]))
            return bool(self(*given, *(ask(cast("Any", kind), path) for kind, path in asked)))

        return Fact(self.__name__, holds, self.__name__)

    def __repr__(self) -> str:
        return f"<Formula {self.__name__}>"


class OfRun:
    """A function of a step's Run. `steps` are those whose output it asks for; `own` is the step whose undo it is about.

    `order`: the fields of a NamedTuple, which is stored as their list.
    """

    __slots__ = ("__name__", "__stepkeel_item__", "__stepkeel_source__", "_made", "order", "own", "source", "steps")

    def __init__(self, made: Template | Expression, steps: Iterable[str], own: str = "", order: tuple[str, ...] = ()) -> None:
        self._made = made
        self.steps = tuple(steps)
        self.own = own
        self.order = order
        self.source: Any = made.source
        self.__name__ = self.__stepkeel_source__ = made.__name__
        self.__stepkeel_item__ = "item" in made.__name__

    def __call__(self, run: Run[Any]) -> Any:
        steps = {n: {"output": run.output if n == self.own else run[n]} for n in self.steps}
        found = self._made(run.input, run.input, steps, run.item)
        return [found[n] for n in self.order] if self.order and isinstance(found, dict) else found


class Outputs:
    """What is brought into the data at the end of a graph: fields, made of the data and all outputs."""

    def __init__(self, made: Template) -> None:
        self._made = made
        self.source: Any = made.source
        self.__name__ = self.__stepkeel_source__ = made.__name__

    def __call__(self, data: Any, outputs: Mapping[str, Any]) -> Any:
        return self._made(data, data, {n: {"output": outputs[n]} for n in self._made.steps}, None)


def condition(text: str, names: Sequence[str] = ("data",), fields: Fields | None = None) -> Formula | Fact:
    """A condition in the Common Expression Language. Raises ExpressionInvalid."""
    inner, asked = _facts(text)
    variables = [f"f{n}" for n in range(len(asked))]
    known = {v: _FACTS[kind] for v, (kind, _) in zip(variables, asked, strict=True)}
    every = (*names, *variables)
    made = Expression(inner, (*every, "input"), {**(fields or {}), **known} or None)
    if made.kind not in ("BOOL", "DYN"):
        text = f"it gives {made.kind.lower()}, and a condition is true or false"
        raise ExpressionInvalid(text, remedy="compare it: == ...", code="bad_condition")
    formula = Formula(made, every, "condition", text)
    return formula.with_facts(asked) if asked else formula


def value(source: Any, names: Sequence[str] = ("data",), fields: Fields | None = None, reads: str = "any") -> Formula:
    """A value of templates; of a list of items the expression alone. Raises TemplateInvalid, ExpressionInvalid."""
    every = (*names, "input")
    if reads in ("items", "expression") or (reads == "fields" and isinstance(source, str)):
        return Formula(Expression(source, every, fields), names, reads)
    return Formula(Template(source, every, fields), names, reads)


def remedy_of(error: ExpressionInvalid | TemplateInvalid, names: Iterable[str], fields: Fields) -> str:
    """What to write instead: a name that is known, near what was written."""
    head, _, rest = error.name.partition(".")
    if error.name and head not in names:
        return near(head, [*names])
    if rest:
        return near(rest, [f.partition(".")[2] for f in fields if f.startswith(f"{head}.")])
    return error.remedy or "Common Expression Language: data.amount >= 100 && has(data.card)"


def _facts(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What is asked about positions, and the text with a variable of the same length in the place of each."""
    if not any(f"{name}(" in text.replace(" ", "") for name in _FACTS):
        return text, []
    asked: list[tuple[str, str]] = []
    made, end, before = "", 0, ""
    for kind, token, at in tokens_of(text):
        if at >= end and kind == "name" and token in _FACTS and before != ".":
            call = _CALL.match(text, at + len(token))
            if call is None and token == "size":  # of a list, or a text
                before = token
                continue
            if call is None:
                raise ExpressionInvalid(f"{token}(...) takes a path as a text", at, remedy=f"{token}('pick')")
            path = call[1] or call[2] or ""
            if not path and token not in ("children", "branches_open"):
                raise ExpressionInvalid(f"{token}() of nothing", at, remedy=f"{token}('pick')")
            variable = f"f{len(asked)}"
            made += text[end:at] + variable.ljust(call.end() - at)
            asked.append((token, path))
            end = call.end()
        before = token
    return made + text[end:], asked


# -- what a formula gives


def _truth(found: Any) -> bool:
    if not isinstance(found, bool):
        raise ValueError(f"it gives {found!r}, and a condition is true or false")
    return found


def _items(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise ValueError(f"it gives {found!r}, and items are a list")
    return cast("list[Any]", found)


def _fields(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ValueError(f"it gives {found!r}, and a mapping of fields is expected")
    return cast("Mapping[str, Any]", found)


def _span(found: Any) -> timedelta:
    if isinstance(found, timedelta):
        return found
    span = None if isinstance(found, bool) else read_span(found)
    if span is None:
        raise ValueError(f"it gives {found!r}, and a span is seconds, or a text like 30s, 10m, 2h, 3d")
    return timedelta(microseconds=span)


def _moment(found: Any) -> datetime:
    at = datetime.fromisoformat(found) if isinstance(found, str) else found
    if not isinstance(at, datetime):
        raise ValueError(f"it gives {found!r}, and a moment is a text like 2026-12-24T18:00:00Z")
    return at


def _due(found: Any) -> Any:
    if found is None or isinstance(found, datetime | timedelta):
        return found
    return _moment(found) if isinstance(found, str) and read_span(found) is None else _span(found)


_READERS: dict[str, Callable[[Any], Any]] = {
    "any": lambda found: found,
    "condition": _truth,
    "items": _items,
    "expression": lambda found: found,
    "fields": _fields,
    "span": _span,
    "moment": _moment,
    "due": _due,
    "text": str,
}

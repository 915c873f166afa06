"""Conditions, lists and values as text: the Common Expression Language (cel.dev), which can read what it is given and nothing else.

It has no loops but over lists, no files, no network, no clock; the engine bounds how deep an expression nests and how often it
iterates. The one seam to the library that evaluates it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec

from stepkeel.extra import needing

__all__ = ["MAX_LENGTH", "Expression", "ExpressionInvalid", "Fields", "steps_named", "tokens_of"]

MAX_LENGTH = 5_000
Fields = Mapping[str, str]  # a variable or a path of fields -> its type: int, string, bool, list, map; `dyn`: not known

_AT = re.compile(r"<input>:(\d+):(\d+): (.*)")
_UNKNOWN = re.compile(r"undeclared reference to '([^']+)'")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>[rR]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<other>\S))"""
)
_OUTPUT = re.compile(r"steps\.([A-Za-z_]\w*)[\w.]*")
_to_json = msgspec.json.Encoder(decimal_format="number").encode


class ExpressionInvalid(Exception):
    """`column` (from 0) is where in the text; `name` what is not known there."""

    def __init__(self, message: str, column: int = 0, name: str = "", remedy: str = "", code: str = "bad_expression") -> None:
        super().__init__(message)
        self.column = column
        self.name = name
        self.remedy = remedy
        self.code = code


class Expression:
    """A compiled expression, called with the values of its variables in their order. Raises ValueError where it has no value.

    A value that is a record is seen as the mapping of its fields that JSON has; decimals are numbers, dates are texts
    (`timestamp(data.at)` makes a moment of one).
    """

    __slots__ = ("__name__", "_program", "_seen", "kind", "names", "source")

    def __init__(self, source: str, names: Sequence[str], fields: Fields | None = None) -> None:
        """`names` are its variables; `fields` what is known of the types in them. Raises ExpressionInvalid."""
        self.source = source
        self.names = tuple(names)
        self._seen = tuple(name in source for name in self.names)  # what it does not name it need not be given
        self.__name__ = source
        if len(source) > MAX_LENGTH:
            raise ExpressionInvalid(f"it has {len(source)} characters, {MAX_LENGTH} are allowed")
        self._program = _compiled(_environment(tuple((n, "dyn") for n in self.names)), source)
        # What it gives, if that is known: BOOL, INT, STRING, DOUBLE, ...; else DYN.
        heads = {f.partition(".")[0] for f in fields or ()}
        known = fields is not None and any(head in source for head in heads)
        self.kind = str((_check(source, self.names, fields or {}) if known else self._program).return_type().name())

    def __call__(self, *values: Any) -> Any:
        given = {name: plain(value) for name, value, seen in zip(self.names, values, self._seen, strict=False) if seen}
        try:
            found: Any = self._program.eval(data=given)
        except RuntimeError as error:
            raise ValueError(_reason(str(error))) from None
        if found.type().name() == "ERROR":
            raise ValueError(_reason(str(found.plain_value())))
        return found.plain_value()

    def __repr__(self) -> str:
        return f"<Expression {self.source}>"


def plain(value: Any) -> Any:
    """As JSON has it: what an expression sees."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(cast("Mapping[str, Any]", value))
    return msgspec.json.decode(_to_json(value))


def steps_named(source: str) -> Iterator[tuple[str, int]]:
    """The steps whose output an expression asks for, each with its column. Raises ExpressionInvalid where that is not plain."""
    if "steps" not in source:
        return
    plainly = _OUTPUT.fullmatch(source)
    if plainly is not None:
        yield plainly[1], 0
        return
    tokens = tokens_of(source)
    for n, (kind, text, at) in enumerate(tokens):
        if kind != "name" or text != "steps" or (n and tokens[n - 1][1] == "."):
            continue
        after = [t[:2] for t in tokens[n + 1 : n + 4]]
        if len(after) > 1 and after[0][1] == "." and after[1][0] == "name":
            yield after[1][1], at
        elif len(after) > 2 and after[0][1] == "[" and after[1][0] == "text" and after[2][1] == "]":
            yield after[1][1].strip("'\""), at
        else:
            raise ExpressionInvalid("say which step: steps.reserve.output, or steps['take-it'].output", at)


def tokens_of(source: str) -> list[tuple[str, str, int]]:
    """The tokens of an expression: text, name or other; how it is written; where."""
    return [(m.lastgroup or "", m.group(m.lastgroup or 0), m.start(m.lastgroup or 0)) for m in _TOKEN.finditer(source)]


def _reason(text: str) -> str:
    """`NOT_FOUND: Key not found in map : "x"` without the code."""
    return text.split(": ", 1)[-1] if text.split(":", 1)[0].replace("_", "").isupper() else text


def _cel() -> Any:
    with needing("cel_expr_python", "an expression", "documents"):
        from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]
    return cel


@lru_cache(maxsize=256)
def _environment(variables: tuple[tuple[str, str], ...]) -> Any:
    cel = _cel()
    from cel_expr_python.ext import ext_math  # pyright: ignore[reportMissingTypeStubs]

    kinds: dict[str, Any] = {
        "dyn": cel.Type.DYN, "int": cel.Type.INT, "string": cel.Type.STRING, "bool": cel.Type.BOOL, "map": cel.Type.DYN,
        "list": cel.Type.List(cel.Type.DYN), "list of int": cel.Type.List(cel.Type.INT),
        "list of string": cel.Type.List(cel.Type.STRING),
    }  # fmt: skip
    # Not the strings extension: replacing what was replaced grows a text without bound.
    extensions = cast("list[Any]", [ext_math.ExtMath(), _sums(cel)])
    return cel.NewEnv(variables={n: kinds[k] for n, k in variables}, extensions=extensions)


def _sums(cel: Any) -> Any:
    """`sum(data.lines.map(l, l.quantity))`: lists are all that has no fold of its own."""
    overload = cel.Overload("sum_list", cel.Type.DYN, [cel.Type.List(cel.Type.DYN)], is_member=False, impl=_sum)
    return cel.CelExtension("stepkeel", [cel.FunctionDecl("sum", [overload])])


def _sum(values: list[Any]) -> float:
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise ValueError("sum() is of numbers")
    return sum(values)


def _compiled(environment: Any, source: str) -> Any:
    try:
        return environment.compile(source)
    except RuntimeError as error:
        raise _invalid(str(error), source) from None


def _invalid(text: str, source: str) -> ExpressionInvalid:
    found = _AT.search(text)
    if found is None or int(found[1]) < 1:
        return ExpressionInvalid(_reason(text.replace(" [INVALID_ARGUMENT]", "")).removeprefix("ERROR: <input>:-1:-1: "))
    line, column, message = int(found[1]), int(found[2]), found[3].removesuffix(" [INVALID_ARGUMENT]")
    before = sum(len(each) + 1 for each in source.split("\n")[: line - 1])
    unknown = _UNKNOWN.search(message)
    name = unknown[1].removesuffix(" (in container '')") if unknown else ""
    message = re.sub(r", '[^']+'|'\{'|\{'\[.*", "", message) if "expecting" in message else message
    return ExpressionInvalid(message.replace(" (in container '')", ""), before + max(0, column - 1), name)


def _check(source: str, names: tuple[str, ...], fields: Fields) -> Any:
    """Types that do not go together; fields that there are none of, where `fields` lists what holds them too."""
    known = {**dict.fromkeys(names, "dyn"), **fields}
    program = _compiled(_environment(tuple(known.items())), source)
    whole = {f for f in fields if "." not in f}
    if not whole or "has(" in source:
        return program  # whether a field is there is asked of what holds it
    named = tuple((n, k) for n, k in known.items() if n not in whole)
    try:
        _compiled(_environment(named), source)
    except ExpressionInvalid as error:
        if "." in error.name and error.name.partition(".")[0] in whole:
            head, _, rest = error.name.partition(".")
            raise ExpressionInvalid(f"{head} has no field {rest}", error.column, error.name) from None
    return program

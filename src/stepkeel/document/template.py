"""Values with expressions in them: `{{ steps.reserve.output.id }}` alone is the value itself, within a text its text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from stepkeel.document.expression import Expression, ExpressionInvalid, Fields, steps_named
from stepkeel.document.source import Way

__all__ = ["Template", "TemplateInvalid"]

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class TemplateInvalid(Exception):
    """`path` leads to the text within the value, `column` (from 0) into it."""

    def __init__(self, message: str, path: Way, column: int = 0, name: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.column = column
        self.name = name
        self.remedy = remedy


class Template:
    """A value of texts, numbers, lists and mappings, made when it is called with the values of its variables, in their order.

    `steps`: the names of the steps it asks for, each with where it does. Raises TemplateInvalid; called, ValueError.
    """

    __slots__ = ("__name__", "_made", "constant", "fields", "names", "source", "steps")

    def __init__(self, source: Any, names: Sequence[str], fields: Fields | None = None) -> None:
        self.source: Any = source
        self.names = tuple(names)
        self.fields = fields
        self.__name__ = source if isinstance(source, str) and source else json.dumps(source, sort_keys=True)
        self.steps: dict[str, tuple[Way, int]] = {}
        self._made = self._compile(source, (), fields)
        self.constant = not isinstance(self._made, Expression | _Text | _Parts)

    @property
    def kind(self) -> str:
        """What it gives, where it is one expression and that is known (`Expression.kind`); else nothing."""
        return self._made.kind if isinstance(self._made, Expression) else "STRING" if isinstance(self._made, _Text) else ""

    @property
    def entries(self) -> dict[str, Any] | None:
        """The values of a mapping; None where it is none."""
        source: Any = self.source
        return source if isinstance(source, dict) else None  # pyright: ignore[reportUnknownVariableType]

    def __call__(self, *values: Any) -> Any:
        return _value(self._made, values)

    def _compile(self, value: Any, path: Way, fields: Fields | None) -> Any:
        if isinstance(value, str):
            return self._text(value, path, fields)
        if isinstance(value, list):
            items = [self._compile(v, (*path, n), fields) for n, v in enumerate(cast("list[Any]", value))]
            return _Parts(items) if any(isinstance(i, Expression | _Text | _Parts) for i in items) else cast("Any", value)
        if isinstance(value, dict):
            entries = {k: self._compile(v, (*path, k), fields) for k, v in cast("dict[str, Any]", value).items()}
            return (
                _Parts(entries) if any(isinstance(e, Expression | _Text | _Parts) for e in entries.values()) else cast("Any", value)
            )
        return value

    def _text(self, text: str, path: Way, fields: Fields | None) -> Any:
        if "{{" not in text:
            return text
        pieces: list[Any] = []
        end = 0
        for hole in _HOLE.finditer(text):
            pieces += [text[end : hole.start()], self._expression(hole, path, fields)]
            end = hole.end()
        if "{{" in text[end:]:
            raise TemplateInvalid("{{ without }}", path, end + text[end:].index("{{"))
        pieces = [p for p in (*pieces, text[end:]) if p != ""]
        return pieces[0] if len(pieces) == 1 else _Text(pieces)

    def _expression(self, hole: re.Match[str], path: Way, fields: Fields | None) -> Expression:
        inner = hole[1]
        start = hole.start(1) + len(inner) - len(inner.lstrip())
        try:
            for name, column in steps_named(inner.strip()):
                self.steps.setdefault(name, (path, start + column))
            return Expression(inner.strip(), self.names, fields)
        except ExpressionInvalid as error:
            raise TemplateInvalid(str(error), path, start + error.column, error.name, error.remedy) from None


class _Text:
    """Pieces of a text, some of them expressions."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces


class _Parts:
    """A list or mapping, some of whose values are made."""

    def __init__(self, parts: list[Any] | dict[str, Any]) -> None:
        self.parts = parts


def _value(made: Any, values: tuple[Any, ...]) -> Any:
    if isinstance(made, Expression):
        return made(*values)
    if isinstance(made, _Text):
        return "".join(_said(_value(p, values)) for p in made.pieces)
    if isinstance(made, _Parts):
        parts = made.parts
        return [_value(p, values) for p in parts] if isinstance(parts, list) else {k: _value(p, values) for k, p in parts.items()}
    return made


def _said(value: Any) -> str:
    """How a value reads within a text: as JSON writes it, texts bare."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

"""Data described by JSON Schema, as documents say it of data, signals, forms: plain mappings, checked when they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Annotated, Any, cast

from stepkeel.errors import DataInvalid
from stepkeel.extra import needing
from stepkeel.model.instant import read_span
from stepkeel.model.reducer import Append, Merge, Sum

__all__ = ["Schema"]

_REDUCERS: dict[str, Any] = {"append": Append, "merge": Merge, "sum": Sum}
_PYTHON: dict[str, Any] = {"integer": int, "number": float, "array": list[Any], "object": dict[str, Any]}
_CEL = {"integer": "int", "string": "string", "boolean": "bool"}


class Schema:
    """A type like any other for `Codec`. `document` is the JSON Schema of an object; of its own besides: `x-reduce` of a property

    (append, merge, sum) names its reducer, and `default` fills it in where it is not given; `x-keep` of a signal says how long
    it is kept. `$ref` stays within the document.
    Raises DataInvalid; its `path` leads to what is wrong.
    """

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.__name__ = name
        self.document: dict[str, Any] = {"type": "object", **document}
        if self.document["type"] != "object":
            raise SchemaInvalid("it describes no object", ("type",), "properties: {...}")
        for path, ref in _references(self.document, ()):
            if not ref.startswith("#"):
                raise SchemaInvalid(f"$ref {ref} leads out of the document", path)
        self._errors = _validator(self.document)
        self._check_reducers()

    @property
    def __signal_keep__(self) -> bool | int | None:
        """As a signal: how long one that nothing takes stays pending (`x-keep`: true, false, or a span)."""
        keep = self.document.get("x-keep")
        return keep if isinstance(keep, bool) or keep is None else read_span(keep)

    @property
    def properties(self) -> dict[str, Mapping[str, Any]]:
        """What is said of each; `true` and `false` are schemas too."""
        said = cast("Mapping[str, Any]", self.document.get("properties", {}))
        return {name: cast("Mapping[str, Any]", each) if isinstance(each, Mapping) else {} for name, each in said.items()}

    @property
    def fields(self) -> dict[str, Any] | None:
        """The types of the properties; None where others are allowed besides."""
        found = {name: self._annotated(each) for name, each in self.properties.items()}
        return found if self.document.get("additionalProperties") is False else None

    @property
    def reduced(self) -> dict[str, Any]:
        """The types of the properties that have a reducer."""
        return {n: self._annotated(each) for n, each in self.properties.items() if "x-reduce" in each}

    def check(self, value: Mapping[str, Any]) -> None:
        """Raises DataInvalid naming every place that does not fit, ten at most."""
        found = [(".".join(str(p) for p in e.instance_path), str(e.message)) for e in self._errors(value)]
        if found:
            lines = "; ".join(f"{place}: {message}" if place else message for place, message in found[:10])
            raise DataInvalid(f"{self.__name__}: {lines}")

    def filled(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """With the defaults of properties that are not given."""
        defaults = {n: deepcopy(p["default"]) for n, p in self.properties.items() if "default" in p}
        return {**defaults, **value}

    def cel_fields(self, name: str) -> dict[str, str]:
        """What expressions are told of the types, under the name of a variable: `{"data.amount": "int"}`; with `data` itself where

        there are no other properties.
        """
        known = {name: "dyn"} if self.document.get("additionalProperties") is False else {}
        for field, each in self.properties.items():
            if field.isidentifier():
                known[f"{name}.{field}"] = _CEL.get(str(each.get("type")), "dyn")
        return known

    def _annotated(self, each: Mapping[str, Any]) -> Any:
        kind = _PYTHON.get(str(each.get("type")), Any)
        return Annotated[kind, _REDUCERS[each["x-reduce"]]] if "x-reduce" in each else Any

    def _check_reducers(self) -> None:
        wanted = {"append": ("array",), "merge": ("object",), "sum": ("integer", "number")}
        for name, each in self.properties.items():
            reducer, kind = each.get("x-reduce"), each.get("type")
            if "x-reduce" in each and kind not in wanted.get(str(reducer), ()):
                text = f"x-reduce: {reducer} of a property of type {kind}"
                remedy = "append of an array, merge of an object, sum of a number"
                raise SchemaInvalid(text, ("properties", name, "x-reduce"), remedy)


class SchemaInvalid(DataInvalid):
    """A JSON Schema that is none. `path` leads to what is wrong in it."""

    def __init__(self, message: str, path: tuple[str | int, ...], remedy: str = "JSON Schema 2020-12, as one document") -> None:
        super().__init__(message, remedy=remedy)
        self.path = path


def _references(value: Any, path: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], str]]:
    found: list[tuple[tuple[str | int, ...], str]] = []
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, Any]", value).items():
            if key in ("$ref", "$dynamicRef", "$schema", "$id") and isinstance(inner, str):
                if key in ("$ref", "$dynamicRef"):
                    found.append(((*path, key), inner))
            else:
                found += _references(inner, (*path, key))
    elif isinstance(value, list):
        for n, inner in enumerate(cast("list[Any]", value)):
            found += _references(inner, (*path, n))
    return found


def _nowhere(uri: str) -> Any:
    raise ValueError(f"{uri} leads out of the document")


def _validator(document: Mapping[str, Any]) -> Callable[[Any], Any]:
    with needing("jsonschema_rs", "JSON Schema", "documents"):
        import jsonschema_rs
    rs: Any = jsonschema_rs
    try:
        made = rs.Draft202012Validator(document, retriever=_nowhere, pattern_options=rs.RegexOptions(), validate_formats=True)
    except rs.ValidationError as error:
        raise SchemaInvalid(str(error.message), tuple(error.instance_path)) from None
    except ValueError as error:
        raise SchemaInvalid(str(error), ()) from None
    return made.iter_errors

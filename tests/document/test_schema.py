"""Data described by JSON Schema: checked where it comes in and where it changes, and nothing outside the document is asked."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel.engine.deploy import schema_breaks
from stepkeel.errors import DataInvalid
from stepkeel.model.codec import Codec
from stepkeel.model.schema import Schema, SchemaInvalid
from stepkeel.testing.simulation.chance import Chance
from stepkeel.testing.simulation.sample import sample

ORDER: dict[str, Any] = {
    "properties": {
        "id": {"type": "string"},
        "amount": {"type": "integer", "minimum": 1},
        "notes": {"type": "array", "x-reduce": "append", "default": []},
    },
    "required": ["id"],
    "additionalProperties": False,
}


def test_defaults_are_filled_in_and_types_are_kept() -> None:
    codec = Codec(Schema("order", ORDER))
    assert codec.decode(codec.from_input({"id": "a", "amount": 3})) == {"id": "a", "amount": 3, "notes": []}
    assert codec.schema()["properties"] == ORDER["properties"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "required"),
        ({"id": "a", "amount": 0}, "amount: 0 is less"),
        ({"id": "a", "x": 1}, "'x' was unexpected"),
        ({"id": 1}, "id: 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(value: Any, told: str) -> None:
    codec = Codec(Schema("order", ORDER))
    with pytest.raises(DataInvalid, match=told):
        codec.from_input(value)
    with pytest.raises(DataInvalid, match=told):
        codec.encode(value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(DataInvalid, match=r"id: 5 .*; amount: -1 "):
        Codec(Schema("order", ORDER)).from_input({"id": 5, "amount": -1})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"type": "array"}, ("type",)),
        ({"properties": {"a": {"type": "objct"}}}, ("properties", "a", "type")),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, ("properties", "a", "$ref")),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, ("properties", "a", "$ref")),
        ({"properties": {"a": {"type": "string", "x-reduce": "sum"}}}, ("properties", "a", "x-reduce")),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, ()),
    ],
)
def test_a_schema_that_is_none_or_leads_out_is_refused(document: Any, path: tuple[str, ...]) -> None:
    with pytest.raises(SchemaInvalid) as found:
        Schema("x", document)
    assert found.value.path == path


def test_what_stored_data_would_not_fit_any_more_is_a_break() -> None:
    def without(name: str) -> dict[str, Any]:
        return ORDER | {"properties": {n: p for n, p in ORDER["properties"].items() if n != name}}

    def more(**document: Any) -> dict[str, Any]:
        return ORDER | {"properties": ORDER["properties"] | {"city": {"type": "string"}}} | document

    assert schema_breaks(ORDER, ORDER) == []
    assert schema_breaks(ORDER, more()) == []
    assert schema_breaks(ORDER, more(required=["id", "city"])) == ["city is new and has no default"]
    assert schema_breaks(ORDER, without("notes")) == ["notes is gone, and no others are allowed"]
    assert schema_breaks(ORDER, without("notes") | {"additionalProperties": True}) == []


def test_a_slow_pattern_is_not_slow() -> None:
    schema = Schema("x", {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    with pytest.raises(DataInvalid):
        Codec(schema).from_input({"a": "a" * 50_000 + "b"})


SHAPES: dict[str, Any] = {
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "fixed": {"const": 3},
        "n": {"type": "integer", "minimum": 3, "exclusiveMaximum": 8},
        "half": {"type": "number", "exclusiveMinimum": 300},
        "even": {"type": "integer", "multipleOf": 50, "minimum": 1},
        "name": {"type": "string", "minLength": 3, "maxLength": 5},
        "at": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
        "many": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 2, "maxItems": 4},
        "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "maybe": {"type": ["string", "null"]},
    },
    "required": ["kind", "fixed", "n", "half", "even", "name", "at", "mail", "many", "either", "maybe"],
    "additionalProperties": False,
    "$defs": {
        "line": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"], "additionalProperties": False}
    },
}


def test_values_that_are_made_up_fit_what_is_described() -> None:
    codec = Codec(Schema("shapes", SHAPES))
    for seed in range(200):
        made = sample(codec, Chance(seed))
        codec.encode(made)
        assert made.keys() == SHAPES["properties"].keys()

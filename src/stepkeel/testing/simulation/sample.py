"""Values of a type, made up by chance: data and signals where a simulation was given none."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from typing import Any, cast

from msgspec import inspect

from stepkeel.errors import BadRequest, DataInvalid
from stepkeel.model.codec import Codec
from stepkeel.model.schema import Schema
from stepkeel.testing.simulation.chance import Chance

__all__ = ["sample", "sample_of"]

TEXTS = ("a", "b", "order-1")
NUMBERS = (0, 1, 7, 100, 250)
DEPTH = 4


def sample(codec: Codec, chance: Chance) -> Any:
    """A value of the codec's type. Raises BadRequest where none can be made up."""
    kind: Any = codec.type
    if isinstance(kind, Schema):
        fields = _of_schema(kind.document, kind.document, chance, 0)
    else:
        fields = {} if kind is Any else _fields(codec, chance)
    try:
        return codec.decode(codec.from_input(fields))
    except DataInvalid as error:
        raise BadRequest(f"no value of {codec.name} can be made up: {error}", remedy="give data=, or signals=") from None


def sample_of(kind: Any, chance: Chance) -> Any:
    """A value of any type, as JSON has it; None where none can be made up."""
    try:
        return _value(inspect.type_info(kind), chance, 0)
    except (TypeError, ValueError):
        return None


def _of_schema(said: Any, whole: Mapping[str, Any], chance: Chance, depth: int) -> Any:
    """A value that a JSON Schema describes; what it says of patterns and formats is not heeded."""
    if not isinstance(said, Mapping) or depth > 2 * DEPTH:
        return None
    schema = cast("Mapping[str, Any]", said)
    if "$ref" in schema:
        return _of_schema(_referred(str(schema["$ref"]), whole), whole, chance, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.pick("sample", cast("list[Any]", schema["enum"]))
    for name in ("anyOf", "oneOf"):
        if schema.get(name):
            return _of_schema(chance.pick("sample", cast("list[Any]", schema[name])), whole, chance, depth + 1)
    kind: Any = schema.get("type", "object" if "properties" in schema else None)
    kind = chance.pick("sample", cast("list[str]", kind)) if isinstance(kind, list) else kind
    make = _JSON.get(kind)
    return None if make is None else make(schema, whole, chance, depth)


def _referred(reference: str, whole: Mapping[str, Any]) -> Any:
    found: Any = {**whole}
    for part in filter(None, reference.removeprefix("#").split("/")):
        if not isinstance(found, dict):
            return None
        found = cast("dict[str, Any]", found).get(part)
    return found


def _object(schema: Mapping[str, Any], whole: Mapping[str, Any], chance: Chance, depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    parts = cast("Mapping[str, Any]", schema.get("properties", {}))
    wanted = [n for n, p in parts.items() if n in required or (chance.draw("sample") < 0.5 and "default" not in p)]
    return {n: _of_schema(parts[n], whole, chance, depth + 1) for n in wanted}


def _array(schema: Mapping[str, Any], whole: Mapping[str, Any], chance: Chance, depth: int) -> list[Any]:
    least = int(schema.get("minItems", 0))
    many = max(least, min(chance.below("sample", 3), int(schema.get("maxItems", 3)))) if depth < DEPTH else least
    return [_of_schema(schema.get("items", {"type": "integer"}), whole, chance, depth + 1) for _ in range(many)]


def _number(schema: Mapping[str, Any], whole: Mapping[str, Any], chance: Chance, depth: int) -> Any:
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else None)
    fitting = [n for n in NUMBERS if (low is None or n >= low) and (high is None or n <= high) and n % step == 0]
    return chance.pick("sample", fitting) if fitting else low if low is not None else high


def _text(schema: Mapping[str, Any], whole: Mapping[str, Any], chance: Chance, depth: int) -> str:
    text = chance.pick("sample", TEXTS) if "format" not in schema else _FORMATS.get(schema["format"], "a")
    return text.ljust(int(schema.get("minLength", 0)), "a")[: int(schema.get("maxLength", 1_000))]


_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "12:00:00Z", "email": "ann@example.com",
    "uri": "https://example.com", "uuid": "00000000-0000-7000-8000-000000000000", "decimal": "7", "duration": "PT1S",
}  # fmt: skip
_JSON: dict[Any, Callable[[Mapping[str, Any], Mapping[str, Any], Chance, int], Any]] = {
    "object": _object, "array": _array, "integer": _number, "number": _number, "string": _text,
    "boolean": lambda s, w, c, d: c.draw("sample") < 0.5,
}  # fmt: skip


def _fields(codec: Codec, chance: Chance) -> dict[str, Any]:
    try:
        return dict(_value(inspect.type_info(codec.type), chance, 0))
    except (TypeError, ValueError):
        return {}


def _value(kind: Any, chance: Chance, depth: int) -> Any:
    make = _MAKERS.get(kind.__class__)
    if make is not None:
        return make(kind, chance)
    if isinstance(kind, inspect.UnionType):
        simple = [t for t in kind.types if not isinstance(t, inspect.NoneType)]
        if len(simple) < len(kind.types) and (depth >= DEPTH or chance.draw("sample") < 0.5):
            return None
        return _value(simple[0], chance, depth)
    if isinstance(kind, inspect.DataclassType | inspect.StructType | inspect.TypedDictType):
        wanted = [f for f in kind.fields if f.required or chance.draw("sample") < 0.3]
        return {f.encode_name: _value(f.type, chance, depth + 1) for f in wanted}
    if isinstance(kind, inspect.TupleType):
        return [_value(t, chance, depth + 1) for t in kind.item_types]
    if isinstance(kind, inspect.CollectionType):
        return [] if depth >= DEPTH else [_value(kind.item_type, chance, depth + 1) for _ in range(chance.below("sample", 3))]
    return None


_MAKERS: dict[type[Any], Callable[[Any, Chance], Any]] = {
    inspect.BoolType: lambda k, c: c.draw("sample") < 0.5,
    inspect.IntType: lambda k, c: c.pick("sample", NUMBERS),
    inspect.FloatType: lambda k, c: float(c.pick("sample", NUMBERS)),
    inspect.StrType: lambda k, c: c.pick("sample", TEXTS),
    inspect.BytesType: lambda k, c: "YQ==",
    inspect.DecimalType: lambda k, c: str(decimal.Decimal(c.pick("sample", NUMBERS))),
    inspect.LiteralType: lambda k, c: c.pick("sample", k.values),
    inspect.EnumType: lambda k, c: c.pick("sample", [m.value for m in k.cls]),
    inspect.DateTimeType: lambda k, c: "2026-01-01T00:00:00Z",
    inspect.DateType: lambda k, c: "2026-01-01",
    inspect.TimeDeltaType: lambda k, c: "PT1S",
    inspect.UUIDType: lambda k, c: "00000000-0000-7000-8000-000000000000",
    inspect.DictType: lambda k, c: {},
    inspect.NoneType: lambda k, c: None,
}

"""Values of a type, made up by chance: data and signals where a simulation was given none."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any

from msgspec import inspect

from stepkeel.errors import BadRequest, DataInvalid
from stepkeel.model.codec import Codec
from stepkeel.testing.simulation.chance import Chance

__all__ = ["sample"]

TEXTS = ("a", "b", "order-1")
NUMBERS = (0, 1, 7, 100, 250)
DEPTH = 4


def sample(codec: Codec, chance: Chance) -> Any:
    """A value of the codec's type. Raises BadRequest where none can be made up."""
    fields = {} if codec.type is Any else _fields(codec, chance)
    try:
        return codec.decode(codec.from_input(fields))
    except DataInvalid as error:
        raise BadRequest(f"no value of {codec.name} can be made up: {error}", remedy="give data=, or signals=") from None


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

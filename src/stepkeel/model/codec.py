"""The one seam between an author's data type and bytes: JSON objects, by msgspec, or by pydantic for its own models."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import msgspec

from stepkeel.errors import DataInvalid, StepkeelError
from stepkeel.model.schema import Schema

__all__ = ["Codec", "decoder_of", "split_fields", "to_json"]

_fields: Callable[[bytes | msgspec.Raw], dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_plain = msgspec.json.Encoder()
_CEL: dict[Any, str] = {int: "int", str: "string", bool: "bool"}


def split_fields(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The fields of an encoded record, each still encoded."""
    return _fields(raw)


def to_json(value: Any) -> bytes:
    """Any value that JSON can say. Raises DataInvalid on others."""
    try:
        return _plain.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataInvalid(f"{type(value).__name__} cannot be stored: {error}") from None


def decoder_of(kind: Any) -> Callable[[Any], Any]:
    """Reads encoded values of a type, whatever it is: plain JSON where nothing is known of it. Raises on others."""
    if hasattr(kind, "__pydantic_validator__"):
        from pydantic import TypeAdapter

        adapter: Any = TypeAdapter(kind)
        return lambda raw: adapter.validate_json(bytes(raw))
    try:
        return msgspec.json.Decoder(Any if isinstance(kind, TypeVar) else kind).decode
    except (TypeError, ValueError):
        return msgspec.json.decode


class Codec:
    """Encodes, decodes and checks one type: dataclass, msgspec.Struct, TypedDict, attrs class, pydantic model or Schema.

    `Any` stands for a mapping that nothing is known of. Everything wrong is DataInvalid, naming the type and the place.
    """

    __slots__ = ("_decode", "_encode", "_mapping", "_pydantic", "_schema", "fields", "name", "type")

    def __init__(self, kind: Any) -> None:
        self.type: Any = kind
        self.name: str = getattr(kind, "__name__", str(kind))
        self._pydantic: Any = None
        self._schema = _schema_of(kind)
        self._mapping = kind is Any or _is_typed_dict(kind) or kind is dict or self._schema is not None
        if self._schema is not None:
            self.fields: dict[str, Any] | None = self._schema.fields
            self._encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
            self._decode: Callable[[Any], Any] = msgspec.json.Decoder(dict[str, Any]).decode
            return
        target: Any = dict[str, Any] if kind is Any or kind is dict else kind
        if hasattr(kind, "__pydantic_validator__"):
            from pydantic import TypeAdapter

            self._pydantic = TypeAdapter[Any](kind)
            self._encode = self._pydantic.dump_json
            self._decode = self._pydantic.validate_json
            self.fields = _pydantic_fields(kind)
            return
        try:
            info = msgspec.inspect.type_info(target)
            decoder = msgspec.json.Decoder(target)
        except (TypeError, ValueError, NameError) as error:
            raise DataInvalid(f"{self.name} cannot be used as data: {error}") from None
        if not isinstance(
            info,
            msgspec.inspect.StructType | msgspec.inspect.DataclassType | msgspec.inspect.TypedDictType | msgspec.inspect.DictType,
        ) or getattr(info, "array_like", False):
            raise DataInvalid(
                f"{self.name} cannot be used as data",
                remedy="a dataclass, msgspec.Struct, TypedDict, attrs class or pydantic model: something with named fields",
            )
        # The order of a set depends on the process; sorting costs dict order, so only types that hold sets pay it.
        self._encode = msgspec.json.Encoder(order="deterministic" if _holds_set(info, set()) else None).encode
        self._decode = decoder.decode
        self.fields = None if isinstance(info, msgspec.inspect.DictType) else _hints(kind)

    def encode(self, value: Any) -> bytes:
        """Encoded bytes of a value of this type. Raises DataInvalid."""
        if self._mapping:
            if not isinstance(value, Mapping):
                raise DataInvalid(f"{self.name} expected, got {type(value).__name__}")
        elif not isinstance(value, self.type):
            raise DataInvalid(f"{self.name} expected, got {type(value).__name__}")
        try:
            raw = self._encode(value)
            if self._schema is not None:
                self._schema.check(self._decode(raw))
            return raw
        except StepkeelError:
            raise
        except Exception as error:
            raise DataInvalid(f"{self.name} cannot be stored: {error}") from None

    def decode(self, raw: bytes | msgspec.Raw) -> Any:
        """A fresh value, checked against the type. Raises DataInvalid."""
        try:
            return self._decode(bytes(raw) if self._pydantic else raw)
        except Exception as error:
            raise DataInvalid(f"{self.name}: {error}") from None

    def checked(self, value: Any) -> tuple[bytes, Any]:
        """Encoded bytes and a fresh copy decoded from them: what is stored is known to be readable."""
        raw = self.encode(value)
        return raw, self.decode(raw)

    def from_input(self, value: Any) -> bytes:
        """Bytes of what a caller gave: a value of the type, or a mapping of its fields with no unknown one among them."""
        if not self._mapping and isinstance(value, self.type):
            return self.checked(value)[0]
        if not isinstance(value, Mapping):
            raise DataInvalid(f"{self.name} expected, got {type(value).__name__}")
        if self._schema is not None:
            return self.encode(self._schema.filled(cast("Mapping[str, Any]", value)))
        told = to_json(value)
        raw = self._encode(self._whole(self.decode(told)))
        unknown = sorted(_unknown(msgspec.json.decode(told), msgspec.json.decode(raw), "$"))
        if unknown:
            raise DataInvalid(f"{self.name} has no field {', '.join(unknown)}", remedy=f"known: {', '.join(self.fields or ())}")
        return raw

    def _whole(self, value: Any) -> Any:
        """The same with all its fields: what is decoded without some has its class's defaults for them, which are not encoded."""
        own: dict[str, Any] | None = getattr(value, "__dict__", None)
        if own is not None:
            for name in self.fields or ():
                if name not in own and hasattr(value, name):
                    object.__setattr__(value, name, getattr(value, name))
        return value

    def cel_fields(self, name: str) -> dict[str, str]:
        """What expressions are told of the types, under the name of a variable; see `Schema.cel_fields`."""
        if self._schema is not None:
            return self._schema.cel_fields(name)
        if self.fields is None:
            return {}
        return {name: "dyn"} | {f"{name}.{field}": _CEL.get(kind, "dyn") for field, kind in self.fields.items()}

    @property
    def reduced(self) -> Mapping[str, Any]:
        """The types of the fields, those of them that may have a reducer."""
        return (self.fields or {}) if self._schema is None else self._schema.reduced

    def check_fields(self, change: Mapping[str, Any]) -> None:
        """Raises DataInvalid on unknown fields."""
        if self.fields is not None:
            unknown = sorted(set(change) - set(self.fields))
            if unknown:
                raise DataInvalid(f"{self.name} has no field {', '.join(unknown)}", remedy=f"known: {', '.join(self.fields)}")

    def updated(self, value: Any, change: Mapping[str, Any]) -> Any:
        """The value with some fields set. Raises DataInvalid on unknown fields."""
        self.check_fields(change)
        if self._mapping:
            return {**value, **change}
        if self._pydantic is not None:
            return value.model_copy(update=dict(change))
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(value, **change)
        if dataclasses.is_dataclass(value):
            return dataclasses.replace(cast("Any", value), **change)
        import attrs

        return attrs.evolve(value, **change)

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the type."""
        if self._pydantic is not None:
            return self._pydantic.json_schema()
        if self._schema is not None:
            return self._schema.document
        return msgspec.json.schema(dict[str, Any] if self.type is Any else self.type)


def _schema_of(kind: Any) -> Schema | None:
    return kind if isinstance(kind, Schema) else None


def _is_typed_dict(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, dict) and "__total__" in vars(cast("Any", kind))


def _pydantic_fields(kind: Any) -> dict[str, Any]:
    # Pydantic takes what stands beside the type apart; here it belongs to it again.
    return {n: Annotated[(f.annotation, *f.metadata)] if f.metadata else f.annotation for n, f in kind.model_fields.items()}


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise DataInvalid(f"{kind.__name__} cannot be used as data: {error}") from None


def _holds_set(info: Any, seen: set[int]) -> bool:
    if id(info) in seen:
        return False
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.SetType | msgspec.inspect.FrozenSetType):
        return True
    inner: list[Any] = []
    for name in ("type", "item_type", "key_type", "value_type"):
        inner.append(getattr(info, name, None))
    inner += [getattr(f, "type", f) for n in ("fields", "types", "item_types") for f in getattr(info, n, ())]
    return any(_holds_set(i, seen) for i in inner if isinstance(i, msgspec.inspect.Type))


def _unknown(given: Any, kept: Any, place: str) -> list[str]:
    """Fields of what was given that are not in what was kept."""
    if isinstance(given, dict) and isinstance(kept, dict):
        left, right = cast("dict[str, Any]", given), cast("dict[str, Any]", kept)
        lost = [f"{place}.{k}"[2:] for k in left if k not in right]
        return lost + [u for k in left if k in right for u in _unknown(left[k], right[k], f"{place}.{k}")]
    if isinstance(given, list) and isinstance(kept, list):
        pairs = zip(cast("list[Any]", given), cast("list[Any]", kept), strict=False)
        return [u for n, (a, b) in enumerate(pairs) for u in _unknown(a, b, f"{place}[{n}]")]
    return []

"""Signals as types: `class OrderApproved(Signal): by: str` is a frozen dataclass and a name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, dataclass_transform

from stepkeel.errors import BadRequest
from stepkeel.model.codec import Codec
from stepkeel.model.definition import SignalType
from stepkeel.model.instant import to_span

__all__ = ["Signal", "signal_given", "signal_name", "signal_name_of", "signal_type"]


@dataclass_transform(frozen_default=True)
class Signal:
    """Base of signal types; makes each subclass a frozen dataclass.

    name=  the name outside, when it is not the class name
    keep=  True, or a timedelta (its time to live): one that nothing takes stays pending until a later state takes it;
           False: it is rejected. Unless said, the definition's `unhandled_signals` decides.
    """

    __signal_name__: ClassVar[str]
    __signal_keep__: ClassVar[bool | int | None] = None

    def __init_subclass__(cls, *, name: str | None = None, keep: bool | timedelta | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signal_name__ = name or cls.__name__
        cls.__signal_keep__ = to_span(keep) if isinstance(keep, timedelta) else keep
        dataclass(frozen=True)(cls)


def signal_name(kind: type[Any]) -> str:
    return getattr(kind, "__signal_name__", kind.__name__)


def signal_name_of(value: object) -> str:
    """The name of the signal that a value is."""
    return signal_name(type(value))


def signal_given(what: Any, payload: Any) -> tuple[str, Any]:
    """Name and payload of a signal given as a value, as a type, or by name. Raises BadRequest."""
    if isinstance(what, str | type):
        return what if isinstance(what, str) else signal_name(what), payload
    if payload is not None:
        raise BadRequest(f"{signal_name_of(what)} was given as a value and with a payload", remedy="one of the two")
    return signal_name_of(what), what


def signal_type(kind: type[Any]) -> SignalType:
    """Raises DataInvalid when the type cannot be stored."""
    return SignalType(signal_name(kind), kind, Codec(kind), getattr(kind, "__signal_keep__", None))

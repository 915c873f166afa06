"""Which way an instance takes from a state: one pure decision, no activity runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from stepkeel.authoring.signal import signal_name_of
from stepkeel.authoring.state import State
from stepkeel.errors import BadRequest, UnknownSignal
from stepkeel.kernel.decide import decide
from stepkeel.model.definition import Definition
from stepkeel.model.effect import SettleSignal
from stepkeel.model.input import Signal, SignalArrived
from stepkeel.model.snapshot import Snapshot

__all__ = ["Route", "route"]

_ID = "00000000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Route:
    """`state` is the state it is in afterwards (the object itself), `signal` the fate of the signal if there was one."""

    state: State[Any]
    status: str
    data: Any
    events: tuple[str, ...]
    signal: str = ""


def route(state: State[Any], data: Any, signal: Any = None) -> Route:
    """Where a state whose body is done leads with this data, and with a signal if one is given.

    Raises DataInvalid, UnknownSignal, BadRequest for a state that belongs to no workflow.
    """
    definition, states = state.home
    if definition is None:
        raise BadRequest(f"{state!r} belongs to no workflow class", remedy="use the class's attribute")
    snapshot = Snapshot(
        _ID, "test", definition.name, definition.version, str(definition.fingerprint), "running",
        msgspec.Raw(definition.data.from_input(data)), 1, 0, state=str(state), visits={str(state): 1},
    )  # fmt: skip
    signals = () if signal is None else (_signal(definition, signal),)
    decision = decide(definition, snapshot, SignalArrived(), 1, 0, signals)
    after = decision.snapshot
    fate = next((e.status for e in decision.effects if isinstance(e, SettleSignal)), "pending" if signal else "")
    return Route(
        states[after.state],
        after.status,
        definition.data.decode(after.data),
        tuple(e.type for e in decision.events),
        fate,
    )


def _signal(definition: Definition, signal: Any) -> Signal:
    kind = definition.signals.get(signal_name_of(signal))
    if kind is None:
        raise UnknownSignal(f"{definition.name} has no signal {signal_name_of(signal)}", remedy=", ".join(definition.signals))
    return Signal(1, kind.name, msgspec.Raw(kind.codec.from_input(signal)), 1, 0)

"""A telephone: signals alone drive it, and no activity runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stepkeel import Signal, State, Workflow, any_of


@dataclass
class Call:
    call_id: str
    phone_number: str = ""
    is_on_hold: bool = False
    is_destroyed: bool = False
    trace: list[str] = field(default_factory=list[str])


class CallDialed(Signal):
    number: str = ""


class CallConnected(Signal): ...


class HungUp(Signal): ...


class LeftMessage(Signal): ...


class PlacedOnHold(Signal): ...


class TakenOffHold(Signal): ...


class PhoneHurledAgainstWall(Signal, name="WallHit"): ...


def muzak(call: Call, *, on: bool) -> Call:
    return replace(call, is_on_hold=on, trace=[*call.trace, "muzak-started" if on else "muzak-stopped"])


def destroy(call: Call, _: PhoneHurledAgainstWall) -> None:
    call.is_destroyed = True
    call.trace.append("phone-destroyed")


class TelephoneCall(Workflow[Call]):
    off_hook = State[Call](label="Off hook")
    ringing = State[Call](label="Ringing")
    connected = State[Call](label="Connected")
    on_hold = State[Call](label="On hold")
    phone_destroyed = State.terminated(reason="hurled against the wall", label="Phone destroyed")

    off_hook.on(CallDialed, to=ringing, into=lambda call, s: replace(call, phone_number=s.number))
    ringing.on(CallConnected, to=connected)
    connected.on(LeftMessage, to=off_hook)
    connected.on(PlacedOnHold, to=on_hold, into=lambda call, _: muzak(call, on=True))
    on_hold.on(TakenOffHold, to=connected, into=lambda call, _: muzak(call, on=False))
    on_hold.on(PhoneHurledAgainstWall, to=phone_destroyed, into=destroy)
    any_of(ringing, connected).on(HungUp, to=off_hook)
    on_hold.on(HungUp, to=off_hook, into=lambda call, _: muzak(call, on=False))

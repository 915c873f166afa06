"""The telephone, under a virtual clock."""

from __future__ import annotations

from examples.telephone_call.workflow import (
    Call,
    CallConnected,
    CallDialed,
    HungUp,
    PhoneHurledAgainstWall,
    PlacedOnHold,
    TakenOffHold,
    TelephoneCall,
)
from stepkeel.testing import Harness, route


async def test_muzak_starts_and_stops_and_the_wall_ends_it(harness: Harness) -> None:
    call = await harness.start(TelephoneCall, Call("call-1"))
    call.assert_status("waiting").assert_state(TelephoneCall.off_hook)
    for signal in (CallDialed("555-0100"), CallConnected(), PlacedOnHold(), TakenOffHold(), PlacedOnHold()):
        assert (await harness.signal(call, signal)).status == "processed"
    call.assert_state(TelephoneCall.on_hold)
    await harness.signal(call, "WallHit")
    call.assert_status("terminated").assert_state(TelephoneCall.phone_destroyed)
    assert call.value.phone_number == "555-0100"
    assert call.value.trace == ["muzak-started", "muzak-stopped", "muzak-started", "phone-destroyed"]
    assert call.info.reason == "hurled against the wall"


async def test_hanging_up_works_from_everywhere_and_a_phone_on_the_hook_cannot_be_thrown(harness: Harness) -> None:
    call = await harness.start(TelephoneCall, Call("call-2"))
    assert (await harness.signal(call, PhoneHurledAgainstWall())).status == "rejected"
    for before in ([CallDialed()], [CallDialed(), CallConnected()], [CallDialed(), CallConnected(), PlacedOnHold()]):
        for signal in before:
            await harness.signal(call, signal)
        await harness.signal(call, HungUp())
        call.assert_state(TelephoneCall.off_hook)
    assert not call.value.is_on_hold


def test_the_way_a_call_takes() -> None:
    assert route(TelephoneCall.ringing, Call("c"), CallConnected()).state is TelephoneCall.connected
    assert route(TelephoneCall.on_hold, Call("c"), PhoneHurledAgainstWall()).status == "terminated"

"""A bundle is armed once the disk has what its manifest says; what was altered on its way leaves the old system alone."""

import asyncio

import pytest

from capsuled.caller import Caller
from capsuled.rpc import Refused
from capsuled.updates.receiving import Options, Receiver
from capsuled.updates.switching import Switch
from effects.slots.bundle import BundleStream
from effects.slots.protocol import LoaderState, Room
from effects.slots.twin import SlotDisk, TwinLoader, TwinSlots
from journal.entry import Actor
from journal.sidelog import SideLog
from projections.state import Update
from projections.update_intents import Level, System
from projections.update_phases import UpdatePhase
from tests.support.beside import at_once, beside
from tests.support.bundles import BOOT, ROOT, Bundle, arriving
from tests.unit.projections.test_update_calls import standing

ADMIN = Caller(Actor("operator", "k", "joe", "admin"), "UpdateOS")


@pytest.mark.parametrize(
    ("member", "altered"), [("boot.img", b"x" + BOOT[1:]), ("root.img", ROOT[:-1] + b"x")], ids=["boot", "root"]
)
def test_an_image_that_was_altered_on_its_way_is_refused_and_nothing_is_armed(
    side_log: SideLog, member: str, altered: bytes
) -> None:
    engine, disk = beside(standing(), side_log), SlotDisk(Room(1 << 16, 1 << 16))
    switch, slots = Switch(engine, TwinLoader(disk, at_once)), TwinSlots(disk, at_once)
    receiver = Receiver(engine, slots, switch, System("0.0.1", "aaa", 10), Level, lambda: True)

    def push(bundle: Bundle) -> Update:
        return asyncio.run(receiver.receive(BundleStream(arriving(bundle.data())), Options(), ADMIN, 0))

    made = Bundle(version="0.0.3", commit="ccc", built=30)
    with pytest.raises(Refused, match=f"{member} is not what the manifest says") as refused:
        push(made.put(member, altered))
    assert refused.value.refusal.reason == "BAD_HASH"
    assert next(reversed(engine.machine.updates.values())).phase is UpdatePhase.FAILED
    assert disk.state == LoaderState(), "the boot loader knows of nothing"
    good = push(Bundle(version="0.0.4", commit="ddd", built=40))
    assert engine.machine.updates[good.uid].phase is UpdatePhase.ARMED and disk.state.next_slot == "slot_b"

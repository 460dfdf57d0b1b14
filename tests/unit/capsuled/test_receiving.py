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
from journal.events import BootStarted
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


def test_what_runs_in_place_of_the_default_is_the_default_before_the_slot_beside_it_is_written(
    side_log: SideLog,
) -> None:
    story, disk = standing(), SlotDisk(Room(1 << 16, 1 << 16))
    story.reboot("boot-2")
    story.tell(BootStarted("slot_b", "slot_a", "0.0.1 aaa"))
    engine = beside(story, side_log)
    told: list[str] = []

    async def step(point: str) -> None:
        told.append(f"{point} {disk.state.default_slot}")

    receiver = Receiver(
        engine, TwinSlots(disk, step), Switch(engine, TwinLoader(disk, step)), System("0.0.1", "aaa", 10), Level,
        lambda: True,
    )  # fmt: skip

    def push(bundle: Bundle) -> Update:
        return asyncio.run(receiver.receive(BundleStream(arriving(bundle.data())), Options(), ADMIN, 0))

    made = Bundle(version="0.0.3", commit="ccc", built=30)
    with pytest.raises(Refused):
        push(made.put("root.img", b"x" + ROOT[1:]))
    assert told[:2] == ["loader.read slot_a", "loader.write slot_a"]
    assert "slot.write slot_b" in told and "slot.write slot_a" not in told
    assert engine.machine.slots.default == disk.state.default_slot == "slot_b"
    push(Bundle(version="0.0.4", commit="ddd", built=40))
    assert (disk.state.default_slot, disk.state.next_slot) == ("slot_b", "slot_a")

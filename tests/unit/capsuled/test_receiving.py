"""A bundle is armed once the disk has what its manifest says; what was altered on its way leaves the old system alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import pytest

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused, status_of_error
from capsuled.updates.receiving import Options, Receiver, uncrowded
from capsuled.updates.switching import Switch
from effects.slots.bundle import BundleStream
from effects.slots.protocol import LoaderState, Room, SlotFailed
from effects.slots.twin import SlotDisk, Step, TwinLoader, TwinSlots
from journal.entry import Actor
from journal.errors import JournalFull
from journal.events import BootStarted, Event, UpdateStaged, UpdateStagingFailed
from journal.sidelog import SideLog
from projections.state import Update
from projections.update_intents import Level, System
from projections.update_phases import UpdatePhase
from tests.support.beside import at_once, beside, records_of
from tests.support.bundles import BOOT, ROOT, Bundle, arriving
from tests.unit.projections.test_update_calls import standing

ADMIN = Caller(Actor("operator", "k", "joe", "admin"), "UpdateOS")


def receiver_on(
    engine: Engine, disk: SlotDisk, step: Step = at_once, crowded: Callable[[], Awaitable[str]] = uncrowded
) -> Receiver:
    switch, slots = Switch(engine, TwinLoader(disk, step)), TwinSlots(disk, step)
    return Receiver(engine, slots, switch, System("0.0.1", "aaa", 10), Level, lambda: True, crowded=crowded)


@pytest.mark.parametrize(
    ("member", "altered"), [("boot.img", b"x" + BOOT[1:]), ("root.img", ROOT[:-1] + b"x")], ids=["boot", "root"]
)
def test_an_image_that_was_altered_on_its_way_is_refused_and_nothing_is_armed(
    side_log: SideLog, member: str, altered: bytes
) -> None:
    engine, disk = beside(standing(), side_log), SlotDisk(Room(1 << 16, 1 << 16))
    receiver = receiver_on(engine, disk)

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

    receiver = receiver_on(engine, disk, step)

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


def test_a_push_is_refused_before_anything_is_written_where_its_trial_could_not_begin(side_log: SideLog) -> None:
    engine, disk = beside(standing(), side_log), SlotDisk(Room(1 << 16, 1 << 16))
    steps: list[str] = []

    async def step(point: str) -> None:
        steps.append(point)

    async def crowded() -> str:
        return "the disk of the state is full"

    bundle = Bundle(version="0.0.3", commit="ccc", built=30)
    with pytest.raises(Refused, match="is full") as refused:
        receiver = receiver_on(engine, disk, step, crowded)
        asyncio.run(receiver.receive(BundleStream(arriving(bundle.data())), Options(), ADMIN, 0))
    refusal = refused.value.refusal
    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "NO_SPACE")
    assert not steps and not disk.content and not engine.machine.updates


def failures(side_log: SideLog) -> list[tuple[str, str]]:
    """What is remembered of pushes that failed."""
    events = (draft.event for draft in records_of(side_log))
    return [(one.reason, one.message) for one in events if isinstance(one, UpdateStagingFailed)]


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (JournalFull("the journal has no more space"), "JOURNAL_FULL", "the journal has no more space"),
        (RuntimeError("can't start new thread"), "INTERNAL", "something went wrong inside capsuled"),
    ],
)
def test_a_push_that_this_side_fails_is_not_remembered_as_cut_by_the_other(
    side_log: SideLog, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, message: str
) -> None:
    engine, disk = beside(standing(), side_log), SlotDisk(Room(1 << 16, 1 << 16))
    record = engine.record

    def fails(events: Sequence[Event], **how: Any) -> int:
        if any(isinstance(event, UpdateStaged) for event in events):
            raise error
        return record(events, **how)

    monkeypatch.setattr(engine, "record", fails)
    receiver = receiver_on(engine, disk)
    bundle = Bundle(version="0.0.3", commit="ccc", built=30)
    with pytest.raises(type(error)):
        asyncio.run(receiver.receive(BundleStream(arriving(bundle.data())), Options(), ADMIN, 0))
    assert failures(side_log) == [(reason, message)]


def test_a_disk_that_fails_under_a_push_is_remembered_and_answered_as_that(side_log: SideLog) -> None:
    engine, disk = beside(standing(), side_log), SlotDisk(Room(1 << 16, 1 << 16))
    disk.fails = "slot"
    receiver = receiver_on(engine, disk)
    bundle = Bundle(version="0.0.3", commit="ccc", built=30)
    with pytest.raises(SlotFailed) as failed:
        asyncio.run(receiver.receive(BundleStream(arriving(bundle.data())), Options(), ADMIN, 0))
    ((reason, message),) = failures(side_log)
    assert status_of_error(failed.value) == (grpc.StatusCode.DATA_LOSS, reason, message, ())
    assert reason == "SLOT_FAILED"


def test_a_push_whose_sender_goes_is_remembered_as_cut(side_log: SideLog) -> None:
    engine, disk = beside(standing(), side_log), SlotDisk(Room(1 << 16, 1 << 16))
    receiver = receiver_on(engine, disk)
    data = Bundle(version="0.0.3", commit="ccc", built=30).data()

    async def goes() -> None:
        async def cut() -> AsyncIterator[bytes]:
            yield data[: data.index(ROOT)]
            pushing.cancel()
            await asyncio.sleep(60)

        pushing = asyncio.ensure_future(receiver.receive(BundleStream(cut()), Options(), ADMIN, 0))
        with pytest.raises(asyncio.CancelledError):
            await pushing

    asyncio.run(goes())
    assert failures(side_log) == [("CUT", "the push ended before all of it had come")]

"""Two words at once, and words that nobody waits for any more: each leads to one end, which the journal tells."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from capsule.v1 import capsule_pb2 as pb
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused
from capsuled.services.capsule import CapsuleService
from capsuled.session import CURRENT, Session
from capsuled.updates.level import own
from capsuled.updates.receiving import Options
from capsuled.updates.switching import Switch
from capsuled.updates.updates import Back, Updates
from effects.slots.bundle import BundleStream
from effects.slots.protocol import LoaderFailed, Room
from effects.slots.twin import SlotDisk, TwinLoader, TwinSlots
from journal.entry import Actor
from journal.events import (
    BootStarted,
    UpdateArmed,
    UpdateArming,
    UpdateConfirmed,
    UpdateDisarmed,
    UpdateKeyEnrolled,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
)
from projections.update_intents import System
from projections.update_phases import UpdatePhase
from tests.simulation.time import VirtualLoop
from tests.support.bundles import Bundle, arriving
from tests.support.clock import HandClock
from tests.support.slow_log import SlowLog
from tests.support.story import Story
from tests.support.until import until
from tests.unit.projections.test_update_calls import LEVEL, begin, confirmed, standing, uid

FIELD_PATIENCE_S = 30.0
"""How long the field's client waits for the answer of an ordinary call."""
ADMIN = Caller(Actor("operator", "k", "joe", "admin"), "UpdateOS")


class Box:
    """A machine of two slots, and what is done at each step of its disk."""

    def __init__(self, story: Story) -> None:
        self.log = SlowLog(story)
        self.engine = Engine(self.log, story.machine, HandClock("boot-2"), frozenset(), b"key")
        self.disk = SlotDisk(Room(1 << 16, 1 << 16))
        self.disk.state = replace(self.disk.state, default_slot=story.machine.slots.default)
        self.at: dict[str, asyncio.Event] = {}
        self.crowded = ""
        self.reboots = 0
        self.switch = Switch(self.engine, TwinLoader(self.disk, self._step))
        self.updates = Updates(
            self.engine, TwinSlots(self.disk, self._step), self.switch, HandClock("boot-2"), System("0.0.1", "aaa", 10),
            lambda: LEVEL, lambda: True, self._reboot, crowded=self._crowded,
        )  # fmt: skip

    def _reboot(self) -> None:
        self.reboots += 1

    async def _crowded(self) -> str:
        return self.crowded

    async def _step(self, point: str) -> None:
        if point in self.at:
            await self.at[point].wait()

    def push(self) -> "asyncio.Future[Any]":
        stream = BundleStream(arriving(Bundle(version="0.0.3", commit="ccc", built=30).data()))
        return asyncio.ensure_future(self.updates.receive(stream, Options(), ADMIN, stay=False))

    def back(self, call_id: str = "") -> "asyncio.Future[Any]":
        caller = replace(ADMIN, method="UpdateService.Rollback", call_id=call_id)
        return asyncio.ensure_future(self.updates.roll_back(Back(), caller))

    async def back_begun(self) -> "asyncio.Future[Any]":
        """A rollback whose first entry is on its way to the disk."""
        self.log.written.clear()
        going = self.back()
        await until(lambda: self.phase is UpdatePhase.STAGED)
        return going

    @property
    def phase(self) -> UpdatePhase | None:
        updates = self.engine.machine.updates
        return updates[max(updates)].phase if updates else None


def waits() -> Story:
    story = standing()
    begin(story, level=own())
    story.tell(UpdateStaged(uid(story), "b" * 64, "r" * 64, 1, 2), UpdateArming(uid(story)), UpdateArmed(uid(story)))
    return story


def tried() -> Story:
    story = waits()
    story.reboot("boot-2")
    story.tell(BootStarted("slot_b", "slot_a", "0.0.2 bbb", tentative=True, uid=uid(story), deadline_mono_ns=10**12))
    return story


def played(story: Callable[[], Story], act: Callable[[Box], Any]) -> Box:
    async def play() -> Box:
        box = Box(story())
        async with asyncio.timeout(10):
            await act(box)
        return box

    return asyncio.run(play())


async def cut(work: "asyncio.Future[Any]", box: Box) -> None:
    """Nobody waits for it any more, while its first entry is on the way to the disk."""
    work.cancel()
    await asyncio.sleep(0)
    box.log.written.set()
    with pytest.raises(asyncio.CancelledError):
        await work


def test_a_push_that_is_cut_while_its_first_entry_is_written_leaves_no_update_behind() -> None:
    async def act(box: Box) -> None:
        box.log.written.clear()
        pushing = box.push()
        await until(lambda: box.engine.machine.updates)
        await cut(pushing, box)
        assert box.log.of(UpdateStagingFailed) == [UpdateStagingFailed]
        assert (await box.push()).uid != min(box.engine.machine.updates) and box.phase is UpdatePhase.ARMED

    played(standing, act)


def test_a_push_that_is_cut_while_the_default_is_changed_tells_what_boots_by_itself_since() -> None:
    async def act(box: Box) -> None:
        box.disk.state = replace(box.disk.state, default_slot="slot_b")
        box.at["loader.written"] = asyncio.Event()
        pushing = box.push()
        await until(lambda: box.disk.state.default_slot == "slot_a")
        pushing.cancel()
        await asyncio.sleep(0)
        box.at["loader.written"].set()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        (failed,) = [event for event in box.log.told if isinstance(event, UpdateStagingFailed)]
        assert failed.default_slot == box.engine.machine.slots.default == "slot_a"

    played(standing, act)


class Failing(asyncio.Event):
    """The disk has it by then, and says once that it took nothing."""

    async def wait(self) -> Literal[True]:
        if not self.is_set():
            self.set()
            raise LoaderFailed("the disk says that it took nothing")
        return True


@pytest.mark.parametrize("story", [standing, confirmed], ids=["a push", "a rollback"])
def test_an_arming_that_failed_behind_its_write_is_taken_back_before_it_is_told_to_be_off(
    story: Callable[[], Story],
) -> None:
    async def act(box: Box) -> None:
        box.at["loader.written"] = Failing()
        with pytest.raises(LoaderFailed, match="took nothing"):
            await (box.push() if story is standing else box.back())
        assert box.disk.state.next_slot is None, "the next boot would be one that was told to be off"
        assert box.phase is UpdatePhase.DROPPED and box.log.of(UpdateArmed, UpdateDisarmed) == [UpdateDisarmed]

    played(story, act)


def test_a_slot_that_the_boot_loader_would_boot_once_is_not_written_before_that_is_taken_back() -> None:
    async def act(box: Box) -> None:
        box.disk.state = replace(box.disk.state, next_slot="slot_b")  # it could not be taken back
        box.at["slot.write"] = asyncio.Event()
        pushing = box.push()
        await until(lambda: box.disk.state.next_slot is None)
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        (failed,) = [event for event in box.log.told if isinstance(event, UpdateStagingFailed)]
        assert failed.default_slot == "", "the default is as it was"

    played(standing, act)


def test_a_rollback_that_was_admitted_is_carried_out_though_nobody_waits_for_it() -> None:
    async def act(box: Box) -> None:
        going = await box.back_begun()
        await cut(going, box)
        assert box.phase is UpdatePhase.ARMED
        await until(lambda: box.reboots)

    played(confirmed, act)


def test_a_rollback_whose_trial_could_not_begin_for_want_of_room_is_refused_and_arms_nothing() -> None:
    async def act(box: Box) -> None:
        box.crowded, before = "the disk of the state is full", box.engine.machine.seq
        for refused in (box.back("c1"), box.updates.would_roll_back(Back(), "admin"), box.back("c1")):
            with pytest.raises(Refused, match="is full") as of_room:
                await refused
            assert of_room.value.reason == "NO_SPACE"
        assert box.engine.machine.seq == before and box.disk.state.next_slot is None, "nothing is told of it"
        box.crowded = ""
        assert (await box.updates.would_roll_back(Back(), "admin")).does == "tried"
        again, _ = await box.back("c1")
        assert box.phase is UpdatePhase.ARMED and box.disk.state.next_slot == again.slot

    played(confirmed, act)


def test_a_rollback_that_is_refused_for_another_reason_or_was_answered_hears_nothing_of_room() -> None:
    async def refused(box: Box) -> None:
        box.crowded = "the disk of the state is full"
        with pytest.raises(Refused) as found:
            await box.back()
        assert found.value.reason == "NO_WAY_BACK"

    async def answered(box: Box) -> None:
        await box.back("c1")
        await box.back("c2")
        assert box.phase is UpdatePhase.DROPPED
        box.crowded = "the disk of the state is full"
        _, said = await box.back("c1")
        assert said == "nothing is under way any more"

    played(standing, refused)
    played(confirmed, answered)


def test_room_that_went_between_the_look_and_the_entry_drops_what_was_begun() -> None:
    async def act(box: Box) -> None:
        going = await box.back_begun()
        box.crowded = "the disk of the state is full"
        box.log.written.set()
        with pytest.raises(Refused, match="is full"):
            await going
        assert box.phase is UpdatePhase.DROPPED and box.disk.state.next_slot is None

    played(confirmed, act)


def test_what_is_dropped_while_it_is_being_armed_is_not_booted() -> None:
    async def act(box: Box) -> None:
        box.at["loader.write"] = asyncio.Event()
        pushing = box.push()
        await until(lambda: box.phase is UpdatePhase.ARMING)
        dropping = box.back()
        await asyncio.sleep(0)
        box.at["loader.write"].set()
        await asyncio.gather(pushing, dropping)
        assert box.log.of(UpdateArming, UpdateArmed, UpdateDisarmed) == [UpdateArming, UpdateArmed, UpdateDisarmed]
        assert box.disk.state.next_slot is None and box.phase is UpdatePhase.DROPPED
        await asyncio.sleep(0.7)
        assert not box.reboots, "the machine need not start anew"

    played(standing, act)


def test_a_drop_goes_to_its_end_though_nobody_waits_for_it() -> None:
    async def act(box: Box) -> None:
        box.disk.state = replace(box.disk.state, next_slot="slot_b", update=uid_of(box))
        box.at["loader.written"] = asyncio.Event()
        dropping = box.back()
        await until(lambda: box.disk.state.next_slot is None)
        dropping.cancel()
        await asyncio.sleep(0)
        box.at["loader.written"].set()
        with pytest.raises(asyncio.CancelledError):
            await dropping
        assert box.phase is UpdatePhase.DROPPED

    played(waits, act)


def test_a_rollback_that_is_said_again_while_it_is_carried_out_is_carried_out_once() -> None:
    async def act(box: Box) -> None:
        box.at["slot.read"] = asyncio.Event()
        first = box.back("id-1")
        await until(lambda: box.phase is UpdatePhase.STAGED)
        again = await box.back("id-1")
        assert again[1] == "slot_a boots again, to be confirmed"
        box.at["slot.read"].set()
        await first
        assert box.log.of(UpdateArming) == [UpdateArming]
        await until(lambda: box.reboots)
        await asyncio.sleep(0.6)
        assert box.reboots == 1

    played(confirmed, act)


def test_a_key_that_is_removed_while_its_bundle_comes_arms_nothing() -> None:
    async def act(box: Box) -> None:
        box.at["slot.written"] = asyncio.Event()
        pushing = box.push()
        await until(lambda: box.phase is UpdatePhase.STAGING)
        box.engine.record((UpdateKeyEnrolled("kid", "00" * 32, "release"),))
        box.at["slot.written"].set()
        with pytest.raises(Refused, match="is not signed"):
            await pushing
        assert box.phase is UpdatePhase.FAILED and box.disk.state.next_slot is None

    played(standing, act)


def uid_of(box: Box) -> int:
    return max(box.engine.machine.updates)


def test_who_confirms_hears_why_it_takes_long_before_a_client_of_the_field_gives_up() -> None:
    async def act() -> float:
        box, loop = Box(tried()), asyncio.get_running_loop()
        box.switch.problem = "the firmware takes no variable"
        with pytest.raises(Refused) as told:
            await box.updates.confirm(replace(ADMIN, method="CapsuleService.UpdateConfirm"))
        refusal = told.value.refusal
        assert (refusal.code, refusal.reason) == ("DEADLINE_EXCEEDED", "NOT_CONFIRMED")
        assert "tried again until the time is over: the firmware takes no variable" in refusal.message
        assert box.phase is UpdatePhase.CONFIRMING
        return loop.time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        begun = runner.get_loop().time()
        assert runner.run(act()) - begun < FIELD_PATIENCE_S


def confirming(box: Box) -> "asyncio.Future[Any]":
    return asyncio.ensure_future(
        box.updates.confirm(replace(ADMIN, method="CapsuleService.UpdateConfirm", call_id="confirm-1"))
    )


def test_a_confirmation_that_is_said_again_tells_of_its_own_update_whichever_came_after_it() -> None:
    async def act(box: Box) -> None:
        first = confirming(box)
        await until(lambda: box.phase is UpdatePhase.CONFIRMING)
        box.engine.record((UpdateConfirmed(uid_of(box), "slot_b"),))
        uid = (await first).uid
        assert (await confirming(box)).uid == uid
        later = (await box.push()).uid
        assert later != uid and (await confirming(box)).uid == uid, "another waits for its boot"
        box.engine.record((BootStarted("slot_a", "slot_b", "0.0.3 ccc", tentative=True, uid=later),))
        assert box.phase is UpdatePhase.TENTATIVE and (await confirming(box)).uid == uid, "another is on trial"

    played(tried, act)


@pytest.mark.parametrize("ended", ["goes back", "was over before it was confirmed"])
def test_a_confirmation_that_did_not_come_about_is_not_answered_as_one_when_it_is_said_again(ended: str) -> None:
    async def act(box: Box) -> None:
        first = confirming(box)
        await until(lambda: box.phase is UpdatePhase.CONFIRMING)
        box.engine.record((UpdateReturning(uid_of(box), "not-confirmed"),))
        if ended != "goes back":
            box.engine.record((UpdateRolledBack(uid_of(box), "not-confirmed", "", "certain"),))
        for call in (first, confirming(box)):
            with pytest.raises(Refused, match=f"update {uid_of(box)} {ended}") as told:
                await call
            assert (told.value.refusal.code, told.value.reason) == ("FAILED_PRECONDITION", "RETURNS")
        box.engine.machine.updates.clear()
        with pytest.raises(Refused, match="not remembered"):
            await confirming(box)

    played(tried, act)


def test_another_bundle_under_the_call_id_of_an_earlier_push_is_not_taken_for_that() -> None:
    async def act(box: Box) -> None:
        service: Any = CapsuleService(box.engine, None, None, None, box.updates)  # type: ignore[arg-type]
        CURRENT.set(Session(ADMIN.actor, call_id="push-1"))

        async def push(bundle: Bundle) -> Any:
            data = bundle.data()

            async def requests() -> AsyncIterator[pb.UpdateOSRequest]:
                digest = hashlib.sha256(data).hexdigest()
                yield pb.UpdateOSRequest(metadata=pb.UpdateOSMetadata(total_bytes=len(data), sha256_hex=digest))
                yield pb.UpdateOSRequest(chunk=data)

            return await service.UpdateOS(requests(), None)

        one, other = (Bundle(version="0.0.3", commit=commit, built=30) for commit in ("ccc", "ddd"))
        await push(one)
        for bundle, reason in ((one, "REPEATED"), (other, "CALL_ID_REUSED")):
            with pytest.raises(Refused) as told:
                await push(bundle)
            assert told.value.reason == reason

    played(standing, act)

"""Who is asked about an attached volume: the guest of its holder's run, at the path where that has it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from effects.errors import DriverError, GuestFailed, GuestSilent, NotRunning, RuntimeUnavailable
from effects.secrets.protocol import SecretDirectory
from effects.volumes.holders import HolderGuests
from journal.events import EffectStarted, VolumeMounted, VolumeRemoved, VolumeUnmounted
from journal.specs import MicroVM, VolumeMount
from projections.intents import CreateVolume
from projections.phases import RunPhase
from projections.storage import Fill
from tests.support.kept import Kept
from tests.support.story import Story, declared

MIB = 1 << 20


class Told:
    """Guests of runs that say what they are told. `fault` is what they raise, before or `after`; `meanwhile` happens
    before they answer."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.fault: DriverError | None = None
        self.after: DriverError | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    async def renew_secrets(self, name: str, uid: int, run: int, secrets: tuple[SecretDirectory, ...]) -> None:
        raise AssertionError("nobody asks for it here")

    @asynccontextmanager
    async def frozen(self, name: str, uid: int, run: int, target: str) -> AsyncIterator[None]:
        if self.fault is not None:
            raise self.fault
        self.told.append(("frozen", name, uid, run, target))
        yield
        self.told.append(("thawed",))
        if self.after is not None:
            raise self.after

    async def usage(self, name: str, uid: int, run: int, target: str) -> Fill | None:
        if self.fault is not None:
            raise self.fault
        self.meanwhile()
        if target == "/mute":
            return None
        return Fill(100 + run, len(target)) if target != "/liar" else Fill(1 << 63, 1 << 62)


def _held(path: str = "/srv") -> tuple[Story, int]:
    story = Story()
    story.call(CreateVolume("data", 64 * MIB))
    story.converge()
    uid = story.machine.volumes["data"].uid
    mounts = (VolumeMount("data", path, volume_uid=uid),)
    plain = declared("vm", vm=MicroVM())
    story.apply(replace(plain, spec=replace(plain.spec, mounts=mounts)))
    story.tell(VolumeMounted("data", uid, "vm", story["vm"].uid))
    return story, uid


def test_the_guest_of_the_run_that_has_it_is_asked() -> None:
    async def test() -> None:
        story, uid = _held()
        told = Told()
        guests = HolderGuests(Kept(story.machine), told)
        with pytest.raises(GuestSilent):
            async with guests.frozen("data", uid):
                raise AssertionError("no run has it yet")
        number = story.run_starts("vm")
        async with guests.frozen("data", uid):
            assert told.told == [("frozen", "vm", story["vm"].uid, number, "/srv")]
        assert told.told[1:] == [("thawed",)] and await guests.usage("data", uid) == Fill(100 + number, 4)
        with pytest.raises(GuestSilent):
            async with guests.frozen("data", uid + 1):
                raise AssertionError("another incarnation is nobody's")
        assert await guests.usage("data", uid + 1) is None
        story.run_ends("vm", 0)
        assert await guests.usage("data", uid) is None

    asyncio.run(test())


@pytest.mark.parametrize("fault", [NotRunning("it ended"), RuntimeUnavailable("it hangs")])
def test_one_that_does_not_answer_is_silent_and_one_that_moved_says_so(fault: DriverError) -> None:
    async def test() -> None:
        story, uid = _held()
        story.run_starts("vm")
        told = Told()
        guests = HolderGuests(Kept(story.machine), told)
        told.after = GuestFailed("it went on before")
        with pytest.raises(GuestFailed):
            async with guests.frozen("data", uid):
                pass
        told.fault = fault
        with pytest.raises(GuestSilent, match="Restart the microVM"):
            async with guests.frozen("data", uid):
                raise AssertionError("it is not frozen")

    asyncio.run(test())


def test_how_full_it_is_is_missing_where_the_guest_does_not_say_and_unknown_where_there_is_none() -> None:
    async def test() -> None:
        story, uid = _held()
        story.run_starts("vm")
        told = Told()
        guests = HolderGuests(Kept(story.machine), told)
        told.fault = NotRunning("it ended")
        assert await guests.usage("data", uid) is None
        told.fault = RuntimeUnavailable("it hangs")
        with pytest.raises(RuntimeUnavailable, match="it hangs"):
            await guests.usage("data", uid)
        mute, uid = _held("/mute")
        mute.run_starts("vm")
        with pytest.raises(GuestFailed, match="the guest of vm does not say how full volume data is"):
            await HolderGuests(Kept(mute.machine), Told()).usage("data", uid)

    asyncio.run(test())


def test_a_volume_that_goes_while_its_guest_is_asked_is_not_full_of_anything() -> None:
    async def test() -> None:
        story, uid = _held()
        story.run_starts("vm")
        told = Told()
        told.meanwhile = lambda: story.tell(VolumeUnmounted("data", uid), VolumeRemoved("data", uid))
        assert await HolderGuests(Kept(story.machine), told).usage("data", uid) is None
        assert "data" not in story.machine.volumes

    asyncio.run(test())


def test_a_guest_that_boots_or_ends_is_not_asked_how_full_its_volume_is() -> None:
    async def test() -> None:
        story, uid = _held()
        told = Told()
        told.fault = RuntimeUnavailable("nobody answers yet")
        guests = HolderGuests(Kept(story.machine), told)
        vm = story["vm"]
        story.tell(EffectStarted("StartRun", "vm", vm.uid, run=1, revision=vm.revision))
        assert await guests.usage("data", uid) is None
        number = story.run_starts("vm")
        with pytest.raises(RuntimeUnavailable):
            await guests.usage("data", uid)
        story.tell(EffectStarted("StopRun", "vm", vm.uid, run=number))
        run = story["vm"].run
        assert run is not None and run.phase is RunPhase.STOPPING
        assert await guests.usage("data", uid) is None

    asyncio.run(test())


def test_no_more_is_believed_than_there_can_be() -> None:
    async def test() -> None:
        story, uid = _held("/liar")
        story.run_starts("vm")
        assert await HolderGuests(Kept(story.machine), Told()).usage("data", uid) == Fill(64 * MIB, 64 * MIB)

    asyncio.run(test())

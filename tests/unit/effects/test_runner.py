"""The runner on drivers that do as they are told: what becomes of work that a newer word overtakes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from msgspec.structs import replace

from effects.errors import (
    DriverError,
    NetworkFailed,
    RegistryDenied,
    RuntimeUnavailable,
    SnapshotDamaged,
    VolumeFailed,
    VolumeTooLarge,
)
from effects.goals import Effect, EnsureImage, EnsureNetwork, RestoreVolume, StartRun, StopRun
from effects.planner import plan
from effects.runner import FIRST_TRIES, PATIENT_TRIES, Runner
from journal.errors import JournalFull
from journal.events import (
    EffectAbandoned,
    EffectFailed,
    Event,
    ImagePulled,
    NetworkDrifted,
    NetworkEnsured,
    PushedImage,
    WorkloadStarted,
)
from journal.specs import ImagePin, MicroVM
from projections import intents
from projections.state import Machine
from tests.simulation.time import VirtualClock, VirtualLoop
from tests.support.story import Story, declared

OLD, NEW = (ImagePin(f"docker.io/library/{name}:1", f"sha256:{name}", f"sha256:{name}-here") for name in ("old", "new"))


class Told:
    """A recorder: a story that is told, and wakes whoever it speaks of."""

    def __init__(self, clock: VirtualClock) -> None:
        self.story = Story(boot=clock.boot_id, holds=())
        self.wake: Callable[[str, int], None] = lambda name, cause: None
        self._clock = clock

    @property
    def machine(self) -> Machine:
        return self.story.machine

    def record(self, events: Sequence[Event], cause: int = 0, reserved: bool = False, *, vital: bool = False) -> int:
        self.story.mono = self._clock.mono_ns()
        first = self.machine.seq + 1
        self.story.tell(*events)
        self.wake("web", first)
        return first if events else 0

    async def durable(self) -> None:
        await asyncio.sleep(0)


class Scripted:
    """Drivers: each goal waits for its answer, which is an error or what is so then."""

    def __init__(self) -> None:
        self.images = self
        self.asked: list[Effect] = []
        self.answers: list[asyncio.Future[tuple[Event, ...]]] = []
        self.leaves = True

    def guard(self, goal: Effect) -> Any:
        return nullcontext()

    def may_be_left(self, goal: EnsureImage | StartRun) -> bool:
        return self.leaves

    async def reach(self, goal: Effect, started: int) -> tuple[Event, ...]:
        self.asked.append(goal)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


def test_what_fails_for_ever_after_another_word_gives_up_nothing_of_that() -> None:
    async def story(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        told, drivers = Told(clock), Scripted()
        told.story.apply(declared("web", pin=OLD))
        async with asyncio.TaskGroup() as group:
            runner = Runner(told, drivers, clock, group)  # type: ignore[arg-type]
            told.wake = runner.wake
            runner.open()
            await asyncio.sleep(1)
            # In one and the same moment: the registry says no, and the operator wants another image.
            drivers.answers[0].set_exception(RegistryDenied("who are you"))
            told.story.apply(replace(declared("web", pin=NEW), image_ref=NEW.ref))
            runner.wake("web", told.machine.seq)
            await asyncio.sleep(60)
            failures = [event for _, event in told.story.entries if isinstance(event, EffectFailed)]
            assert [(event.effect, event.permanent) for event in failures] == [("EnsureImage", False)]
            assert [goal.pin for goal in drivers.asked if isinstance(goal, EnsureImage)] == [OLD, NEW]
            drivers.answers[1].set_result((ImagePulled((PushedImage(NEW),)),))
            await asyncio.sleep(1)
            start = drivers.asked[-1]
            assert isinstance(start, StartRun)
            drivers.answers[2].set_result((WorkloadStarted("web", start.uid, start.run, start.revision, pid=1),))

    _live(story)


def test_an_image_that_is_being_fetched_is_not_begun_anew_when_other_trouble_is_over() -> None:
    async def story(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        told, drivers = Told(clock), Scripted()
        told.story.apply(declared("web", pin=OLD, network="bridge"))
        told.story.converge()
        told.story.apply(replace(declared("web", pin=NEW, network="bridge"), image_ref=NEW.ref))
        told.story.tell(NetworkDrifted("rules"))
        async with asyncio.TaskGroup() as group:
            runner = Runner(told, drivers, clock, group)  # type: ignore[arg-type]
            told.wake = runner.wake
            runner.open()
            await asyncio.sleep(1)
            drivers.answers[0].set_exception(NetworkFailed("no rules"))
            await asyncio.sleep(60)
            mends, image = drivers.asked
            assert isinstance(mends, EnsureNetwork) and isinstance(image, EnsureImage)
            # Another lane made the rules.
            told.record((NetworkEnsured(told.machine.network.changed_seq, 0),))
            assert told.story["web"].trouble is None
            await asyncio.sleep(60)
            assert drivers.asked == [mends, image]
            drivers.answers[1].set_exception(RegistryDenied("who are you"))
            await asyncio.sleep(60)
            trouble = told.story["web"].trouble
            assert trouble is not None and (trouble.effect, trouble.permanent) == ("EnsureImage", True)
            assert not any(isinstance(event, EffectAbandoned) for _, event in told.story.entries)

    _live(story)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (SnapshotDamaged("its file system is torn"), 1),
        (VolumeTooLarge("its file system does not grow so far"), 1),
        (VolumeFailed("a bad sector"), PATIENT_TRIES),
    ],
    ids=["a-snapshot-that-is-of-no-use", "one-that-cannot-grow", "a-storage-that-goes-on-to-refuse"],
)
def test_a_restore_that_cannot_be_had_does_not_keep_the_volume_for_ever(error: DriverError, tries: int) -> None:
    async def story(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        told, drivers = Told(clock), Scripted()
        told.story.call(intents.Apply((), volumes=(intents.DeclaredVolume("data", 64 << 20),)))
        told.story.converge()
        told.story.call(intents.TakeSnapshot("data", "one"))
        told.story.converge()
        told.story.call(intents.RestoreVolume("data", "one", "safe"))
        told.story.reach(plan(told.machine)[0])
        async with asyncio.TaskGroup() as group:
            runner = Runner(told, drivers, clock, group)  # type: ignore[arg-type]
            told.wake = lambda _, cause: runner.wake("volume/data", cause)
            runner.open()
            for nth in range(1, tries + 1):
                await asyncio.sleep(60)
                asked = drivers.asked[-1]
                assert isinstance(asked, RestoreVolume) and (len(drivers.asked), asked.attempt) == (nth, nth)
                drivers.answers[-1].set_exception(error)
        assert told.machine.volumes["data"].restoring == 0
        failures = [event.permanent for _, event in told.story.entries if isinstance(event, EffectFailed)]
        assert failures == [False] * (tries - 1) + [True]
        assert plan(told.machine) == (), "what uses the volume may have it again"

    _live(story)


@pytest.mark.parametrize("leaves", [True, False], ids=["a-guest-that-boots", "a-monitor-that-is-made"])
def test_a_start_that_only_waits_for_its_guest_is_left_for_the_end_of_it_and_for_nothing_else(leaves: bool) -> None:
    async def story(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        told, drivers = Told(clock), Scripted()
        told.story.apply(declared("web", vm=MicroVM(), network="bridge"))
        while told.story.next_goal("web") != "StartRun":
            told.story.reach(plan(told.machine)[0])
        drivers.leaves = leaves
        async with asyncio.TaskGroup() as group:
            runner = Runner(told, drivers, clock, group)  # type: ignore[arg-type]
            told.wake = runner.wake
            runner.open()
            await asyncio.sleep(1)
            runner.wake("web", told.machine.seq)
            await asyncio.sleep(1)
            (start,) = drivers.asked
            assert isinstance(start, StartRun), "somebody else's news changes nothing"
            told.story.call(intents.Stop("web"))
            runner.wake("web", told.machine.seq)
            await asyncio.sleep(1)
            assert isinstance(drivers.asked[-1], StopRun) is leaves
            assert any(isinstance(event, EffectAbandoned) for _, event in told.story.entries) is leaves
            if not leaves:
                drivers.answers[-1].set_result((WorkloadStarted("web", start.uid, start.run, start.revision, pid=1),))
                await asyncio.sleep(1)
            assert isinstance(drivers.asked[-1], StopRun)
            for task in asyncio.all_tasks():
                if task.get_name().startswith("lane "):
                    task.cancel()

    _live(story)


class Bounded(Told):
    """A recorder whose journal has but the last part of its reserve left; `refused` counts what it did not take."""

    refused = 0

    def record(self, events: Sequence[Event], cause: int = 0, reserved: bool = False, *, vital: bool = False) -> int:
        if not vital:
            self.refused += 1
            raise JournalFull("the disk is full")
        return super().record(events, cause, reserved, vital=vital)


def test_what_cannot_be_ended_for_days_leaves_a_full_journal_room_after_its_first_tries(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        told, drivers = Bounded(clock), Scripted()
        told.story.apply(declared("web"))
        told.story.run_starts("web")
        told.story.call(intents.Stop("web"))
        before = len(told.story.entries)
        async with asyncio.TaskGroup() as group:
            runner = Runner(told, drivers, clock, group)  # type: ignore[arg-type]
            told.wake = runner.wake
            runner.open()
            for number in range(FIRST_TRIES):
                await asyncio.sleep(600)
                drivers.answers[number].set_exception(RuntimeUnavailable("it does not answer"))
            await asyncio.sleep(3_600)
            assert len(drivers.asked) == FIRST_TRIES and {type(goal) for goal in drivers.asked} == {StopRun}
            assert len(told.story.entries) - before == 2 * FIRST_TRIES
            assert 600 < told.refused < 800 and caplog.text.count("web waits: the disk is full") == 1
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        _live(story)


def _live(story: Callable[[VirtualLoop], Awaitable[None]]) -> None:
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(story(loop))
    finally:
        asyncio.set_event_loop(None)
        loop.close()

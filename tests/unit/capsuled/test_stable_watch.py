"""The watch of rows of ends in virtual time: a row is over at the moment at which the run after it is stable, once."""

import asyncio

import pytest
from msgspec.structs import replace

from capsuled.engine import Engine
from capsuled.stable_watch import StableWatch
from journal.events import DaemonStarted, WorkloadExited, WorkloadStable, WorkloadStopRequested
from journal.specs import RestartPolicy
from projections.conditions import conditions_of
from projections.state import Update, Workload
from projections.status import status_of
from projections.update_phases import UpdatePhase
from projections.updates import above_level
from tests.simulation.time import VirtualClock, VirtualLoop
from tests.support.story import SECOND, Story, declared, spec
from tests.unit.capsuled.test_health_watch import InMemory, ended, play

STABLE_S = 600


class House:
    """A workload whose run has followed three ends, or none, and the watch on it."""

    def __init__(self, loop: VirtualLoop, ends: int = 3) -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.story = story = Story(boot=self.clock.boot_id)
        story.mono = max(self.clock.mono_ns(), 1)
        policy = RestartPolicy(max_attempts=3, stable_ms=STABLE_S * 1_000)
        story.apply(replace(declared("web"), spec=replace(spec(), restart=policy)))
        for _ in range(ends):
            story.run_starts("web")
            story.run_ends("web", 1)
            story.cleaned("web")
        story.run_starts("web")
        self.log = InMemory(self.clock, story.machine.seq)
        self.engine = Engine(self.log, story.machine, self.clock, frozenset())
        self.watch = StableWatch(self.engine, self.clock)
        self.engine.on_change(self.watch.wake)

    @property
    def web(self) -> Workload:
        return self.engine.machine.workloads["web"]

    def told(self) -> list[tuple[int, float]]:
        return [
            (event.run, round(header.mono / SECOND))
            for header, event in self.log.entries
            if isinstance(event, WorkloadStable)
        ]

    async def lives(self, seconds: float) -> None:
        task = asyncio.ensure_future(self.watch.run())
        await asyncio.sleep(seconds)
        await ended(task)


def test_a_row_is_over_when_the_run_after_it_is_stable_and_then_says_so_everywhere() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        began = house.clock.mono_ns() / SECOND
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(STABLE_S - 1)
        assert house.told() == [] and house.web.streak == 3
        await asyncio.sleep(5_000)
        await ended(task)
        assert house.told() == [(4, round(began + STABLE_S))] and house.web.streak == 0
        assert all(one.met for one in conditions_of(house.web)) and status_of(house.web).message == ""

    play(story)


def test_what_became_stable_while_no_daemon_was_there_is_told_at_the_start() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        await asyncio.sleep(2 * STABLE_S)
        await house.lives(1)
        assert [run for run, _ in house.told()] == [4] and house.web.streak == 0

    play(story)


@pytest.mark.parametrize("ends", [0, 3])
def test_nobody_is_waited_for_without_a_row_or_without_a_run(ends: int) -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, ends)
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(1)
        if ends:
            house.engine.record((WorkloadStopRequested("web", house.web.uid),))
        await asyncio.sleep(1)
        assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("row of")]
        await asyncio.sleep(2 * STABLE_S)
        await ended(task)
        assert house.told() == []

    play(story)


def test_a_run_that_ends_before_is_none_and_the_next_has_its_own_time() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(STABLE_S - 1)
        house.engine.record((WorkloadExited("web", house.web.uid, 4, 1, restart=True, streak=4),))
        await asyncio.sleep(2 * STABLE_S)
        await ended(task)
        assert house.told() == [] and house.web.streak == 4

    play(story)


def test_a_run_of_another_boot_is_none() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        run = house.web.run
        assert run is not None
        house.engine.machine.workloads["web"] = replace(house.web, run=replace(run, boot="another"))
        await house.lives(2 * STABLE_S)
        assert house.told() == []

    play(story)


def test_a_full_disk_holds_it_up_until_there_is_room() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        house.log.full = True
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(STABLE_S + 60)
        assert house.told() == [] and house.web.streak == 3
        house.log.full = False
        await asyncio.sleep(6)
        await ended(task)
        assert [run for run, _ in house.told()] == [4]

    play(story)


def test_a_system_on_trial_says_it_too_although_the_one_before_does_not_know_of_it() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        machine = house.engine.machine
        new, old = ("slot_b", "0.0.2", "bbb", 1), ("slot_a", "0.0.1", "aaa")
        machine.updates[1] = Update(1, *new, *old, UpdatePhase.TENTATIVE, 1, 1, from_level=(("workload.applied", 1),))
        machine.slots = replace(machine.slots, tentative=True)
        assert above_level(machine, [WorkloadStopRequested("web", 1)]), "nobody would be on trial"
        await house.lives(STABLE_S + 1)
        assert [run for run, _ in house.told()] == [4] and house.web.streak == 0

    play(story)


def test_a_row_that_a_restore_ended_is_not_told_of() -> None:
    """It ends without a word to whoever watches the workload."""

    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(1)
        house.engine.machine.workloads["web"] = replace(house.web, streak=0)
        await asyncio.sleep(2 * STABLE_S)
        await ended(task)
        assert house.told() == []

    play(story)


def test_a_reboot_after_that_begins_no_old_row_again() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop)
        await house.lives(STABLE_S + 1)
        tale = house.story
        tale.machine = house.engine.machine
        tale.reboot("boot-2")
        tale.cleaned("web")
        tale.run_starts("web")
        tale.pass_time(3)
        tale.run_ends("web", 1)
        run = tale["web"].run
        assert run is not None and (run.again, run.gave_up, tale["web"].streak) == (True, False, 1)
        assert isinstance(tale.entries[-1][1], WorkloadExited) and DaemonStarted in {
            type(one) for _, one in tale.entries
        }

    play(story)

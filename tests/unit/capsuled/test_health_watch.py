"""The health watch in virtual time: who is looked at, how often, one look at a time, and what the journal is told."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from msgspec.structs import replace

from capsuled.engine import Engine
from capsuled.health_watch import AT_ONCE, HealthWatch
from effects.health.protocol import Target
from journal.entry import Header, genesis
from journal.errors import JournalFull
from journal.events import (
    EffectStarted,
    Event,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from journal.specs import HealthCheck, RestartPolicy
from projections.health import Failure, Finding
from tests.simulation.time import VirtualClock, VirtualLoop
from tests.support.story import Story, declared, spec

CHECK = HealthCheck("exec", ("true",), interval_ms=10_000, timeout_ms=5_000, retries=3, start_period_ms=0)
WELL, ILL = Finding(), Finding(Failure.EXITED, code=1)


class InMemory:
    """A log that keeps entries, or is full."""

    def __init__(self, clock: VirtualClock, seq: int) -> None:
        self.entries: list[tuple[Header, Event]] = []
        self.full = False
        self._clock = clock
        self._chain = Chain(seq, genesis(b"in memory"))

    def check(self) -> None:
        return None

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        if self.full and drafts:
            raise JournalFull("the disk is full")
        stamp = Stamp(1, self._clock.boot_id, self._clock.mono_ns(), "0.0.1", "")
        batch = self._chain.link(drafts, bodies_of(drafts), stamp)
        self.entries += batch.entries
        return batch.entries

    async def durable(self, seq: int) -> None:
        return None


class Scripted:
    """A prober that finds what it is told to, notes when, and says how many looks were at work at once. One that is cut
    takes `ends_s` to end what it began."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.finds: Callable[[Target], Finding | None] = lambda target: WELL
        self.takes_s = 0.0
        self.ends_s = 0.0
        self.looks: list[tuple[str, float]] = []
        self.cut = 0
        self.at_work: dict[str, int] = {}
        self.most = 0
        self._loop = loop

    async def look(self, target: Target) -> Finding | None:
        self.looks.append((target.name, self._loop.time()))
        self.at_work[target.name] = self.at_work.get(target.name, 0) + 1
        assert self.at_work[target.name] == 1, "a run is looked at by two at once"
        self.most = max(self.most, sum(self.at_work.values()))
        try:
            await asyncio.sleep(1_000 if target.name.startswith("hung") else self.takes_s)
        except asyncio.CancelledError:
            self.cut += 1
            await asyncio.sleep(self.ends_s)
            raise
        finally:
            self.at_work[target.name] -= 1
        return self.finds(target)


class House:
    """Workloads that run, with a check or without, and the watch on them."""

    def __init__(self, loop: VirtualLoop, checks: dict[str, HealthCheck | None], restart: str = "always") -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        story = Story(boot=self.clock.boot_id)
        story.mono = self.clock.mono_ns()
        for name, check in checks.items():
            policy = RestartPolicy(restart)  # type: ignore[arg-type]
            story.apply(replace(declared(name), spec=replace(spec(), health=check, restart=policy)))
            story.run_starts(name)
        self.log = InMemory(self.clock, story.machine.seq)
        self.engine = Engine(self.log, story.machine, self.clock, frozenset())
        self.prober = Scripted(loop)
        self.watch = HealthWatch(self.engine, self.prober, self.clock)
        self.engine.on_change(self.watch.wake)

    def runs_anew(self, name: str) -> None:
        """The run that was stopped has ended, and the next one is there."""
        web = self.engine.machine.workloads[name]
        assert web.run is not None
        run = web.run.number
        self.engine.record((WorkloadExited(name, web.uid, run, 0, restart=False),))
        begun = EffectStarted(effect="StartRun", name=name, uid=web.uid, run=run + 1, revision=web.revision)
        self.engine.record((begun, WorkloadStarted(name, web.uid, run + 1, web.revision, 4242)))

    def told(self) -> list[tuple[str, str]]:
        events = [event for _, event in self.log.entries]
        return [(event.name, event.health) for event in events if isinstance(event, WorkloadHealthChanged)]

    async def lives(self, seconds: float) -> None:
        """The watch of one life of the daemon, for so long."""
        task = asyncio.ensure_future(self.watch.run())
        await asyncio.sleep(seconds)
        await ended(task)


async def ended(task: "asyncio.Future[None]") -> None:
    """A watch is at work until it is cancelled, whatever it meets."""
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled(), task.exception()


def play(story: Callable[[VirtualLoop], Awaitable[None]]) -> None:
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(story(loop))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_what_has_no_check_is_never_looked_at_and_costs_no_task() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"plain": None})
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(1_000)
        assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("health of")]
        assert house.prober.looks == []
        await ended(task)

    play(story)


def test_a_run_is_looked_at_once_an_interval_and_told_of_once() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": CHECK})
        await house.lives(605)
        assert 59 <= len(house.prober.looks) <= 61
        assert house.told() == [("web", "healthy")]

    play(story)


def test_before_its_first_success_a_young_run_is_looked_at_each_second() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": replace(CHECK, interval_ms=60_000, start_period_ms=300_000)})
        house.prober.finds = lambda target: WELL if loop.time() > 20 else ILL
        await house.lives(30)
        assert house.told() == [("web", "healthy")]
        assert 20 <= len(house.prober.looks) <= 22

    play(story)


def test_a_look_that_takes_too_long_has_failed_and_nothing_of_it_is_left() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": CHECK}, restart="never")
        house.prober.takes_s = 1_000
        await house.lives(100)
        assert house.told() == [("web", "unhealthy")]
        (event,) = [event for _, event in house.log.entries if isinstance(event, WorkloadHealthChanged)]
        assert (event.failures, event.message, event.restart) == (3, "no answer within 5 s", False)
        assert house.prober.cut >= 5 and sum(house.prober.at_work.values()) == 0

    play(story)


def test_a_look_that_does_not_end_has_failed_in_its_time_and_so_has_each_that_was_due_meanwhile() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": replace(CHECK, interval_ms=30_000)}, restart="never")
        house.prober.finds = lambda target: WELL
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(50)
        assert house.told() == [("web", "healthy")]
        house.prober.takes_s, house.prober.ends_s = 1_000, 300
        looks = len(house.prober.looks)
        await asyncio.sleep(3 * 35)
        assert house.told() == [("web", "healthy"), ("web", "unhealthy")]
        assert len(house.prober.looks) == looks + 1 and house.prober.cut == 1, "not looked at by two at once"
        house.prober.takes_s = 0.0
        await asyncio.sleep(300)
        assert house.told()[2:] == [("web", "healthy")]
        await ended(task)

    play(story)


def test_a_look_that_takes_a_moment_to_end_takes_nothing_of_the_nexts_time() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": replace(CHECK, interval_ms=1_000, timeout_ms=1_000, retries=2)})
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(20)
        house.prober.takes_s, house.prober.ends_s = 1.5, 4
        await asyncio.sleep(2.1)
        house.prober.takes_s = 0.9
        await asyncio.sleep(20)
        assert house.prober.cut == 1 and house.told() == [("web", "healthy")]
        await ended(task)

    play(story)


def test_where_nothing_can_be_said_nothing_is() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": CHECK})
        house.prober.finds = lambda target: None
        await house.lives(500)
        assert house.told() == [] and len(house.prober.looks) > 40

    play(story)


def test_a_fault_of_the_probers_own_makes_nobody_ill_and_ends_nothing() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": CHECK})

        def breaks(target: Target) -> Finding:
            raise ValueError("nobody foresaw this")

        house.prober.finds = breaks
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(100)
        assert house.told() == [] and not task.done()
        house.prober.finds = lambda target: WELL
        await asyncio.sleep(20)
        assert house.told() == [("web", "healthy")]
        await ended(task)

    play(story)


def test_a_daemon_that_starts_again_and_again_makes_nobody_ill() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": CHECK})
        await house.lives(25)
        house.prober.finds = lambda target: ILL
        for _ in range(10):
            house.watch = HealthWatch(house.engine, house.prober, house.clock)
            await house.lives(19)  # two failures at most: not three in a row that one daemon saw
        assert house.told() == [("web", "healthy")]

    play(story)


def test_who_stops_is_not_looked_at_any_more_and_who_starts_is_again() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": CHECK})
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(50)
        uid = house.engine.machine.workloads["web"].uid
        house.engine.record((WorkloadStopRequested("web", uid),))
        looks = len(house.prober.looks)
        await asyncio.sleep(100)
        assert len(house.prober.looks) == looks
        house.engine.record((WorkloadStartRequested("web", uid),))
        await asyncio.sleep(100)
        assert len(house.prober.looks) == looks, "the run that was stopped is not the wanted one"
        house.runs_anew("web")
        await asyncio.sleep(100)
        assert 9 <= len(house.prober.looks) - looks <= 11 and house.told() == [("web", "healthy")] * 2
        await ended(task)

    play(story)


def test_what_a_full_journal_cannot_take_is_told_once_it_can(caplog: pytest.LogCaptureFixture) -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {"web": CHECK})
        house.log.full = True
        task = asyncio.ensure_future(house.watch.run())
        await asyncio.sleep(60)
        assert house.told() == []
        assert caplog.text.count("cannot be journaled yet") == 1, "not with each look"
        house.log.full = False
        await asyncio.sleep(60)
        assert house.told() == [("web", "healthy")]
        await ended(task)

    play(story)


def test_many_checks_are_spread_and_few_run_at_a_time() -> None:
    async def story(loop: VirtualLoop) -> None:
        house = House(loop, {f"w{number}": CHECK for number in range(100)})
        house.prober.takes_s = 0.05
        await house.lives(100)
        assert house.prober.most <= AT_ONCE
        assert len(house.told()) == 100
        first = sorted(at for _, at in house.prober.looks)[:100]
        assert first[-1] - first[0] > 5, "not all of them at once"

    play(story)


def test_checks_that_hang_hold_up_nobody_elses() -> None:
    async def story(loop: VirtualLoop) -> None:
        hangs = replace(CHECK, interval_ms=1_000, timeout_ms=600_000)
        house = House(loop, {**{f"hung{number}": hangs for number in range(4 * AT_ONCE)}, "web": CHECK})
        await house.lives(300)
        assert sum(name == "web" for name, _ in house.prober.looks) >= 25
        assert house.prober.most == 4 * AT_ONCE + 1, "each of them is still at work"
        assert sum(house.prober.at_work.values()) == 0, "and ends with the watch"

    play(story)

"""Stops while the journal takes nothing: done, noted beside it, and told to it once it takes entries again."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from capsuled.emergency import Emergencies
from capsuled.engine import Engine
from capsuled.rpc import Refused
from effects.containers.last_resort import LastResort
from effects.errors import RuntimeUnavailable
from effects.runs.protocol import RunSpec
from effects.runs.twin import TwinContainers, World
from journal.entry import Header, genesis
from journal.errors import JournalFull
from journal.events import EmergencyRecovered, Event
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from journal.sidelog import FOR_UPDATES, SECTORS, Emergency, SideLog
from tests.support.clock import HandClock
from tests.support.story import Story, declared
from tests.support.until import until

DIGEST = "sha256:" + "1" * 64
FULL = JournalFull("the disk is full")


class Brim:
    """A log on a disk that is full until it is not."""

    def __init__(self, seq: int) -> None:
        self.full = True
        self.entries: list[tuple[Header, Event]] = []
        self._chain = Chain(seq, genesis(b"in memory"))

    def check(self) -> None:
        return None

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        if self.full:
            raise FULL
        batch = self._chain.link(drafts, bodies_of(drafts), Stamp(1, "boot-1", 1, "0.0.1", ""))
        self.entries += batch.entries
        return batch.entries

    async def durable(self, seq: int) -> None:
        return None


class Doze(HandClock):
    """A clock on which one sleeps until somebody says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep, self.woken = asyncio.Event(), asyncio.Event()

    def wake(self) -> None:
        """Whoever sleeps now."""
        self.asleep.clear()
        self.woken.set()
        self.woken.clear()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await self.woken.wait()


class House:
    """A workload that runs, a journal that is full, and what stops in an emergency."""

    def __init__(self, directory: Path, reachable: bool = True) -> None:
        story = Story()
        story.apply(declared("web", "serve"))
        story.run_starts("web")
        self.uid = story["web"].uid
        self.world = World({DIGEST})
        self.log = Brim(story.machine.seq)
        self.clock = Doze()
        self.side_log = SideLog(directory / "side.log", most=SECTORS)
        self.engine = Engine(self.log, story.machine, self.clock, frozenset())
        self.reachable = reachable
        self.containers = TwinContainers(self.world, self._step)
        self.emergencies = Emergencies(
            self.engine, {"container": self.containers}, LastResort(directory / "runc"), self.clock, self.side_log
        )

    async def _step(self, point: str) -> None:
        if not self.reachable:
            raise RuntimeUnavailable("no containerd")

    async def run(self, name: str, uid: int) -> None:
        self.reachable, before = True, self.reachable
        await self.containers.ensure_running(RunSpec(name, uid, uid, 1, DIGEST, args=("serve",)))
        self.reachable = before

    def alive(self) -> list[str]:
        return [key[0] for key, one in self.world.containers.items() if one.status == "running"]


def live(directory: Path, story: Callable[[House], Awaitable[None]], reachable: bool = True) -> None:
    async def main() -> None:
        house = House(directory, reachable)
        await house.run("web", house.uid)
        await story(house)
        house.side_log.close()

    asyncio.run(main())


def test_a_stop_is_done_and_noted_and_read_in_once_the_journal_takes_it(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.emergencies.stop("web", FULL)
        assert house.alive() == []
        (noted,) = house.side_log.records()
        assert (noted.action, noted.name, noted.uid) == ("stop", "web", house.uid)
        reading = asyncio.ensure_future(house.emergencies.run())
        await house.clock.asleep.wait()
        assert house.log.entries == [] and house.side_log.records() == (noted,)
        house.log.full = False
        house.clock.woken.set()
        await until(lambda: not house.side_log.records())
        reading.cancel()
        ((_, told),) = house.log.entries
        assert told == EmergencyRecovered("stop", "web", house.uid, noted.at)

    live(tmp_path, story)


def test_a_side_log_that_fails_ends_nobody_and_what_it_has_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def story(house: House) -> None:
        house.log.full = False
        await house.emergencies.stop("web", FULL)
        reading = asyncio.ensure_future(house.emergencies.run())
        for name in ("records", "forget", "forget"):
            with monkeypatch.context() as broken:
                broken.setattr(house.side_log, name, fails)
                house.clock.wake()
                await house.clock.asleep.wait()
        house.clock.wake()
        await until(lambda: not house.side_log.records())
        reading.cancel()
        assert [type(event) for _, event in house.log.entries] == [EmergencyRecovered]
        assert caplog.text.count("cannot be read in: Input/output error") == 1

    live(tmp_path, story)


def test_a_name_that_no_state_knows_is_enough(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.run("forgotten", 99)
        await house.emergencies.stop("forgotten", FULL)
        assert house.alive() == ["web"]
        with pytest.raises(Refused, match="nothing of that name runs"):
            await house.emergencies.stop("nobody", FULL)

    live(tmp_path, story)


def test_another_incarnation_of_the_name_is_not_stopped(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.run("web", house.uid + 1)
        await house.emergencies.stop("web", FULL)
        assert [key[1] for key, one in house.world.containers.items() if one.status == "running"] == [house.uid + 1]

    live(tmp_path, story)


def test_without_a_runtime_and_with_a_full_side_log_a_stop_still_says_that_it_was_made(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for at in range(SECTORS):
            house.side_log.append(Emergency("stop", "other", 1, at))
        await house.emergencies.stop("web", FULL)
        assert all(one.name == "other" for one in house.side_log.records())

    live(tmp_path, story, reachable=False)


def test_stops_leave_room_for_an_update(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for _ in range(SECTORS):
            await house.emergencies.stop("web", FULL)
        assert house.side_log.count() == SECTORS - FOR_UPDATES

    live(tmp_path, story)


def test_what_is_no_stop_stays_where_it_is_when_stops_are_read_in(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.side_log.append(strange := Emergency("a newer action", "web"))
        house.log.full = False
        await house.emergencies.stop("web", FULL)
        reading = asyncio.ensure_future(house.emergencies.run())
        await until(lambda: house.side_log.records() == (strange,))
        reading.cancel()
        assert [type(event) for _, event in house.log.entries] == [EmergencyRecovered]

    live(tmp_path, story)

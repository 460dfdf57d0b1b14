"""What `capsule info` tells: the disk under the root, how much of what there is, and what is not here."""

import asyncio
import errno
import os
import re
from pathlib import Path

import pytest

from capsule.v1 import capsule_pb2 as pb
from capsuled.condition import State
from capsuled.front import info_of
from capsuled.host import allocated_bytes, root_disk
from capsuled.identity import Identity
from capsuled.info import counts
from capsuled.services.capsule import About
from capsuled.volume_watch import VolumeWatch
from effects.volumes.twin import Storage, TwinVolumes
from projections.intents import Stop
from projections.storage import Fill, SeenVolume
from tests.support.house import standing
from tests.support.story import Story, declared

CLIENT_S = 5.0
"""So long a client of the field that polls waits for an answer."""
ROOT = "25 1 {number} / / rw,relatime - ext4 /dev/root rw\n30 25 0:5 / /proc rw - proc proc rw\n"


class Sys:
    """A sysfs of a test's: disks, parts of them, and what is mapped on them."""

    def __init__(self, root: Path, number: str) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.mounts = root / "mountinfo"
        self.mounts.write_text(ROOT.format(number=number))
        (root / "dev" / "block").mkdir(parents=True)

    def disk(self, name: str, number: str) -> Path:
        path = self.root / "devices" / name
        path.mkdir(parents=True)
        (path / "size").write_text("2048\n")
        self.number(number, path)
        return path

    def part(self, disk: Path, name: str, number: str) -> Path:
        path = disk / name
        path.mkdir()
        (path / "partition").write_text("1\n")
        (path / "size").write_text("1024\n")
        self.number(number, path)
        return path

    def number(self, number: str, path: Path) -> None:
        (self.root / "dev" / "block" / number).symlink_to(path)

    def mapped(self, name: str, number: str, *below: Path) -> None:
        path = self.disk(name, number)
        (path / "slaves").mkdir()
        for one in below:
            (path / "slaves" / one.name).symlink_to(one)

    def found(self) -> str:
        disk = root_disk(self.mounts, self.root)
        return "" if disk is None else disk.name


def test_the_root_is_on_a_whole_disk_a_part_of_one_or_mapped_on_it(tmp_path: Path) -> None:
    for number, which in (("8:0", "sda"), ("8:1", "sda"), ("252:0", "sda"), ("252:1", "")):
        made = Sys(tmp_path / number.replace(":", "-"), number)
        disk, other = made.disk("sda", "8:0"), made.disk("sdb", "8:16")
        part = made.part(disk, "sda1", "8:1")
        made.mapped("dm-0", "252:0", part)
        made.mapped("dm-1", "252:1", part, other)
        assert made.found() == which, number


@pytest.mark.parametrize("number", ["0:33", "259:7"])
def test_a_root_on_no_disk_is_not_said_to_be_on_one(tmp_path: Path, number: str) -> None:
    made = Sys(tmp_path, number)
    made.disk("sda", "8:0")
    assert made.found() == ""


def test_what_there_is_is_counted_by_phase() -> None:
    story = Story()
    story.apply(declared("a"), declared("b"), declared("c"))
    story.converge()
    story.call(Stop("b"))
    story.converge()
    found = counts(story.machine)
    assert (found.workloads, found.running, found.stopped, found.pending, found.failed) == (3, 2, 1, 0, 0)
    assert found.images == len(story.machine.cached)


def test_files_take_what_they_have_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"x" * 10_000)
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(1 << 30)
    assert 10_000 <= allocated_bytes(tmp_path) < 1 << 20
    assert allocated_bytes(tmp_path / "absent") == 0


def test_hosted_mode_leaves_out_what_it_does_not_have_and_says_so(tmp_path: Path) -> None:
    with standing(tmp_path / "state") as house:
        told = house.do(info_of(house.house).message)
    empty = (
        "active_slot",
        "pending_slot",
        "pending_deadline_unix",
        "last_version",
        "thinpool_total_bytes",
        "thinpool_used_bytes",
    )
    assert not [name for name in empty if getattr(told, name)]
    assert any("slots" in one for one in told.absent) and any("thin pool" in one for one in told.absent)
    contract = [one.name for one in pb.GetInfoResponse.DESCRIPTOR.fields if one.number < 100 and one.name not in empty]
    # A root on no disk (an overlay) has none to tell of.
    assert [name for name in contract if not getattr(told, name)] in ([], ["boot_disk", "disk_total_bytes"])
    assert told.storage_total_bytes and told.journal_size_bytes and told.started_at_unix and told.boot_id
    assert told.HasField("objects") and told.objects.workloads == 0


class Busy(TwinVolumes):
    """A storage that one command keeps busy while it is not `free`: whoever else asks stands behind it."""

    def __init__(self) -> None:
        super().__init__(Storage(), self._one_step)
        self.free = asyncio.Event()
        self.waiting = 0

    async def _one_step(self, point: str) -> None:
        pass

    async def pool(self) -> Fill:
        self.waiting += 1
        await self.free.wait()
        self.waiting -= 1
        return await super().pool()

    async def observe(self) -> tuple[SeenVolume, ...]:
        await self.free.wait()
        return await super().observe()


def test_a_storage_that_is_busy_keeps_nobody_waiting_and_what_is_told_of_it_is_true(tmp_path: Path) -> None:
    with standing(tmp_path / "state") as house:
        volumes = house.house.volumes = Busy()
        watch = VolumeWatch(house.house.engine, volumes, house.clock, frozen=False)
        house.house.about.ask(watch.warnings)
        house.house.about.warn("something else")
        info = info_of(house.house)

        async def story() -> tuple[pb.GetInfoResponse, ...]:
            told = []
            for free in (False, True, False, False, True):
                (volumes.free.set if free else volumes.free.clear)()
                async with asyncio.timeout(CLIENT_S):
                    told.append(await info.message())
                assert volumes.waiting == (0 if free else 1), "those who ask meanwhile wait for the same look"
            return tuple(told)

        at_first, known, late, later, again = house.do(story)
    assert (at_first.storage_total_bytes, at_first.capsule_id) == (0, known.capsule_id)
    assert known.storage_total_bytes and list(known.warnings) == list(again.warnings) == ["something else"]
    assert late.storage_total_bytes == later.storage_total_bytes == known.storage_total_bytes
    was = "what is told of it was so before that"
    for one, words in ((at_first, "how full it is is not known"), (late, was), (later, was)):
        beside, warned, storage = one.warnings
        assert beside == "something else" and warned.startswith("warnings may be missing here, or be over: ")
        assert re.fullmatch(rf"the storage has not answered for \d+ s: {words}", storage)


def test_what_was_warned_of_is_while_nobody_can_look() -> None:
    async def test() -> None:
        answers, calm = ["the disk is full"], asyncio.Event()
        calm.set()

        async def check() -> tuple[str, ...]:
            await calm.wait()
            return tuple(answers)

        about = About(Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32), Path("/"), State())
        about.ask(check)
        assert await about.warnings(9) == answers
        calm.clear()
        said, *more = await about.warnings(0.01)
        assert said == answers[0] and len(more) == 1
        answers.clear()
        calm.set()
        assert await about.warnings(9) == []

    asyncio.run(test())


def test_a_look_that_fails_costs_its_own_warnings_alone() -> None:
    async def test() -> None:
        async def fails() -> tuple[str, ...]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        async def well() -> tuple[str, ...]:
            return ("the disk is full",)

        about = About(Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32), Path("/"), State())
        about.ask(fails)
        about.ask(well)
        told, failed = await about.warnings(9)
        assert told == "the disk is full" and "Input/output error" in failed

    asyncio.run(test())

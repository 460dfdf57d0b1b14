"""What another journal called as something is called now, on the thin pool: it is set aside, and never taken for that."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from effects.errors import DriverError
from effects.volumes.thin_driver import ThinVolumes
from effects.volumes.thin_group import ThinGroup

MIB = 1 << 20


class Pool:
    """A volume group: the tags of what is in it, and what was given a file system. Renames fail behind so many."""

    def __init__(self, *there: str) -> None:
        self.there: dict[str, set[str]] = {name: set() for name in there}
        self.formatted: list[str] = []
        self.cut_behind = 1 << 20

    async def command(self, *argv: str) -> tuple[int, str]:
        verb, words = argv[1], argv[2:]
        if argv[0] == "mkfs.ext4":
            self.formatted += [word for word in words if word.startswith("/dev/")]
        elif verb == "lvcreate":
            name = words[words.index("--name") + 1]
            self.there[name] = {words[at + 1] for at, word in enumerate(words) if word == "--addtag"}
        elif verb == "lvrename":
            self.cut_behind -= 1
            if self.cut_behind < 0:
                return 5, "the power went"
            assert words[2] not in self.there, "LVM refuses a name that is taken"
            self.there[words[2]] = self.there.pop(words[1])
        elif verb == "lvremove":
            for one in words[1:]:
                del self.there[one.removeprefix("capsule/")]
        elif verb == "lvchange":
            tags = self.there[words[-1].removeprefix("capsule/")]
            tags -= {words[at + 1] for at, word in enumerate(words) if word == "--deltag"}
            tags |= {words[at + 1] for at, word in enumerate(words) if word == "--addtag"}
        rows = [
            {"lv_name": name, "lv_size": str(64 * MIB), "lv_tags": ",".join(sorted(tags)), "lv_active": "active"}
            for name, tags in self.there.items()
        ]
        rows.append({"lv_name": "pool", "lv_size": str(1 << 30), "data_percent": "1"})
        return 0, json.dumps({"report": [{"lv": rows}]})


class Driver(ThinVolumes):
    """Without a file system to grow."""

    async def grow(self, name: str, uid: int, size_bytes: int) -> None:
        return


def on(tmp_path: Path, pool: Pool, suite: Callable[[ThinVolumes], Awaitable[None]]) -> set[str]:
    asyncio.run(suite(Driver(pool.command, ThinGroup(pool.command, "capsule", "pool"), tmp_path)))  # type: ignore[arg-type]
    return set(pool.there)


def test_a_volume_is_made_beside_the_one_that_stood_there_and_once(tmp_path: Path) -> None:
    pool = Pool("vol-data.7", "snap-data.7.9", "vol-data.77")

    async def suite(driver: ThinVolumes) -> None:
        for _ in range(2):
            await driver.make("data", 7, 64 * MIB, asked_at=5)

    there = {"vol-data.7", "stranger1-vol-data.7", "stranger1-snap-data.7.9", "vol-data.77"}
    assert on(tmp_path, pool, suite) == there
    assert pool.formatted == ["/dev/capsule/vol-data.7"]


def test_a_snapshot_is_taken_beside_the_one_that_stood_there_and_once(tmp_path: Path) -> None:
    pool = Pool("vol-data.7", "snap-data.7.9", "stranger1-snap-data.7.9")

    async def suite(driver: ThinVolumes) -> None:
        for _ in range(2):
            assert await driver.snapshot("data", 7, 9, asked_at=5) == "thin"
        await driver.remove("data", 7)

    assert on(tmp_path, pool, suite) == {"stranger1-snap-data.7.9", "stranger2-snap-data.7.9"}


def test_what_may_not_have_been_made_is_removed_and_not_what_stood_there(tmp_path: Path) -> None:
    pool = Pool("vol-data.7", "snap-data.7.9", "vol-more.8", "snap-more.8.10")

    async def suite(driver: ThinVolumes) -> None:
        await driver.remove_snapshot("data", 7, 9, asked_at=5)
        await driver.remove("more", 8, asked_at=5)
        await driver.make("more", 8, 64 * MIB, asked_at=5)
        await driver.remove("more", 8, asked_at=5)

    there = {"vol-data.7", "stranger1-snap-data.7.9", "stranger1-vol-more.8", "stranger1-snap-more.8.10"}
    assert on(tmp_path, pool, suite) == there


def test_what_is_staged_takes_the_place_of_what_stands_there(tmp_path: Path) -> None:
    pool = Pool("vol-data.7", "snap-data.7.9", "snap-data.7.10", "staged-import-1")

    async def suite(driver: ThinVolumes) -> None:
        for _ in range(2):
            await driver.adopt("data", 7, "import-1", keeps=(9,))

    there = {"vol-data.7", "stranger1-vol-data.7", "snap-data.7.9", "stranger1-snap-data.7.10"}
    assert on(tmp_path, pool, suite) == there


@pytest.mark.parametrize("tags", [set[str](), {"capsule.asked=0"}])
def test_what_was_staged_is_known_by_when_the_volume_was_asked_for(tmp_path: Path, tags: set[str]) -> None:
    """Also where the power went before it got its name, and that is tried again."""
    pool = Pool("snap-data.7.9")
    pool.there["staged-import-1"] = {"capsule.size=67108864", *tags}
    pool.cut_behind = 0

    async def suite(driver: ThinVolumes) -> None:
        with pytest.raises(DriverError):
            await driver.adopt("data", 7, "import-1", 5, (9,))
        pool.cut_behind = 1
        await driver.adopt("data", 7, "import-1", 5, (9,))
        assert pool.there["vol-data.7"] == {"capsule.size=67108864", "capsule.asked=5"}
        await driver.remove("data", 7, asked_at=5)

    assert on(tmp_path, pool, suite) == set()


@pytest.mark.parametrize("asked", ["adopt", "make"])
def test_snapshots_are_set_aside_before_their_volume(tmp_path: Path, asked: str) -> None:
    """Cut behind any of it, none of another's stands under the name of the one that is made next."""
    pool = Pool("vol-data.7", "snap-data.7.9", "staged-import-1")
    pool.cut_behind = 1

    async def suite(driver: ThinVolumes) -> None:
        with pytest.raises(DriverError):
            await (driver.adopt("data", 7, "import-1") if asked == "adopt" else driver.make("data", 7, MIB, asked_at=5))

    assert on(tmp_path, pool, suite) == {"vol-data.7", "stranger1-snap-data.7.9", "staged-import-1"}

"""What a life finds on the thin pool that was cut anywhere in a restore: one whole volume, and nothing beside it."""

import asyncio
import json
from pathlib import Path

import pytest

from effects import held
from effects.errors import VolumeFailed
from effects.volumes.thin_driver import ThinVolumes
from effects.volumes.thin_group import MAKING, ThinGroup

VOLUME, NEW, OLD = "vol-data.7", "new-data.7", "old-data.7"
HALF, BEFORE, AFTER = "half of it", "as it was", "the snapshot's"


class Pool:
    """A volume group: what is in each logical volume. Something is half made, and says so; one verb may fail."""

    def __init__(self, there: dict[str, str]) -> None:
        self.there = dict(there)
        self.fails: tuple[str, ...] = ()

    async def command(self, *argv: str) -> tuple[int, str]:
        verb, words = argv[1], argv[2:]
        if self.fails == argv[1:]:
            return 5, "the disk has a fault"
        if verb == "lvs":
            rows = [
                {"lv_name": name, "lv_size": "67108864", "lv_tags": MAKING if content == HALF else ""}
                for name, content in self.there.items()
            ]
            return 0, json.dumps({"report": [{"lv": rows}]})
        if verb == "lvrename":
            assert words[2] not in self.there, "LVM refuses a name that is taken"
            self.there[words[2]] = self.there.pop(words[1])
        elif verb == "lvremove":
            for one in words[1:]:
                del self.there[one.removeprefix("capsule/")]
        elif verb == "lvcreate":
            self.there[words[-2]] = self.there[words[-1].removeprefix("capsule/")]
        else:
            assert verb == "lvchange", argv
        return 0, ""


class Group(ThinGroup):
    """With a file in place of every device: the head of a file system that need not grow."""

    def __init__(self, pool: Pool, directory: Path) -> None:
        super().__init__(pool.command, "capsule", "pool")
        self._directory = directory

    def device(self, name: str) -> str:
        path = self._directory / name
        path.write_bytes(bytes(1028) + b"\xff" * 4 + bytes(1016))
        return str(path)


def _driver(pool: Pool, tmp_path: Path) -> ThinVolumes:
    return ThinVolumes(pool.command, ThinGroup(pool.command, "capsule", "pool"), tmp_path)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("there", "content"),
    [
        ({VOLUME: BEFORE, NEW: HALF}, BEFORE),
        ({VOLUME: BEFORE, NEW: AFTER}, BEFORE),
        ({OLD: BEFORE, NEW: AFTER}, AFTER),
        ({NEW: AFTER}, AFTER),
        ({OLD: BEFORE}, BEFORE),
        ({OLD: BEFORE, VOLUME: AFTER}, AFTER),
    ],
)
def test_of_a_restore_that_was_cut_one_content_is_left(
    there: dict[str, str], content: str, turned: bool, tmp_path: Path
) -> None:
    pool = Pool(dict(reversed(there.items())) if turned else there)
    asyncio.run(_driver(pool, tmp_path).sweep(frozenset()))
    assert pool.there == {VOLUME: content}


def test_what_is_half_made_or_awaited_by_nobody_goes_and_what_is_no_volumes_stays(tmp_path: Path) -> None:
    kept = {VOLUME: BEFORE, "snap-data.7.9": BEFORE, "staged-import-1": AFTER, "pool": "", "perm": "somebody's"}
    gone = {"vol-more.8": HALF, "snap-data.7.10": HALF, "staged-import-2": AFTER, "staged-import-3": HALF}
    pool = Pool(kept | gone)
    asyncio.run(_driver(pool, tmp_path).sweep(frozenset({"import-1", "import-3"})))
    assert pool.there == kept


@pytest.mark.parametrize(
    ("fails", "stays"),
    [
        (("lvremove", "--yes", "capsule/vol-more.8"), {"vol-more.8": HALF, "vol-x.9": AFTER}),
        (("lvrename", "capsule", "new-x.9", "vol-x.9"), {"new-x.9": AFTER}),
    ],
)
def test_what_cannot_be_put_away_is_told_and_holds_up_nothing(
    fails: tuple[str, ...], stays: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = {"vol-more.8": HALF, "new-x.9": AFTER, "staged-import-2": AFTER, VOLUME: BEFORE, NEW: HALF}
    for turned in (there, dict(reversed(there.items()))):
        pool = Pool(turned)
        pool.fails = fails
        asyncio.run(_driver(pool, tmp_path).sweep(frozenset()))
        assert pool.there == {VOLUME: BEFORE} | stays
        assert f"{next(iter(stays))}, which a life before left" in caplog.text and "a fault" in caplog.text


def test_a_restore_whose_content_cannot_take_its_name_leaves_the_volume_as_it_was(tmp_path: Path) -> None:
    pool = Pool({VOLUME: BEFORE, "snap-data.7.9": AFTER, "pool": ""})
    driver = ThinVolumes(pool.command, Group(pool, tmp_path), tmp_path)
    pool.fails = ("lvrename", "capsule", NEW, VOLUME)
    with pytest.raises(VolumeFailed, match="a fault"):
        asyncio.run(driver.restore("data", 7, 9, 64 << 20))
    assert pool.there[VOLUME] == BEFORE
    pool.fails = ()
    asyncio.run(driver.restore("data", 7, 9, 64 << 20))
    assert pool.there == {VOLUME: AFTER, "snap-data.7.9": AFTER, "pool": ""}


def test_a_check_before_a_machine_gets_it_has_it_alone(tmp_path: Path) -> None:
    pool, alone = Pool({VOLUME: BEFORE, "pool": ""}), list[bool]()

    async def command(*argv: str) -> tuple[int, str]:
        assert argv[0] == "e2fsck"
        alone.append(held.is_held(Path(argv[-1])))
        return 0, ""

    driver = ThinVolumes(command, Group(pool, tmp_path), tmp_path)
    disk = Path(asyncio.run(driver.attach("data", 7)))
    assert alone == [True] and not held.is_held(disk)

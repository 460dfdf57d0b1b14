"""A disk whose volume group no tool sees any more is no new machine's: nothing is written to it, and nobody is let in to
install there. Disks are recorded, and `blkid` is the machine's own."""

import asyncio
from pathlib import Path

import pytest

from capsuled.boot import group, mode, storage
from capsuled.boot.errors import StorageFailed
from capsuled.boot.partitions import Partition, Table
from capsuled.boot.stages import Stages
from capsuled.processes import outcome
from tests.support.groups import HEADER, LABEL_ID, LABEL_SUM, lay
from tests.unit.capsuled.boot.test_disks import make


def content_of(path: Path) -> str:
    return asyncio.run(group.content_of(str(path)))


def blind(path: Path) -> bool:
    """Whether blkid takes it for nothing."""
    return asyncio.run(outcome("blkid", "--probe", str(path))) == (2, "")


def test_a_group_is_known_by_its_label_and_an_empty_disk_by_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(bytes(8 << 20))
    assert content_of(tmp_path / "empty") == ""
    assert {content_of(lay(tmp_path / "disk", rotten=rotten)) for rotten in (0, HEADER)} == {group.KIND}


@pytest.mark.parametrize("rotten", [LABEL_SUM, LABEL_ID])
def test_one_byte_that_rots_in_the_label_makes_no_new_machine_of_it(rotten: int, tmp_path: Path) -> None:
    disk = lay(tmp_path / "disk", rotten=rotten)
    assert blind(disk)
    with pytest.raises(StorageFailed, match=r"its metadata is there.*Nothing is written there: mend it with `pvck"):
        content_of(disk)


def test_a_first_boot_that_was_cut_before_there_was_a_volume_goes_on(tmp_path: Path) -> None:
    disk = lay(tmp_path / "disk", volumes=False, rotten=LABEL_ID)
    assert blind(disk) and content_of(disk) == ""


def test_what_cannot_be_read_is_not_taken_for_empty(tmp_path: Path) -> None:
    """blkid ends as at one that is. The memory of a process gives EIO where nothing is, and that is at its beginning."""
    for unreadable in (Path("/proc/self/mem"), tmp_path, tmp_path / "gone"):
        assert asyncio.run(outcome("blkid", "--probe", "--match-tag", "TYPE", str(unreadable)))[0] == 2
        with pytest.raises(StorageFailed, match=r"cannot be read: .*so nothing is written there"):
            content_of(unreadable)


class Machine:
    """One that boots from `disk3`, beside a state; everything that would be written is noted instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
        self.place = place
        self.done: list[str] = []
        (place / "root").write_text(f"{place / 'disk3'}\n")
        monkeypatch.setattr(storage, "LVM_CONFIGURATION", place / "lvm.conf")
        monkeypatch.setattr(storage, "Growth", self._growth)
        monkeypatch.setattr(group, "run", self._run)

    def _growth(self, root: str) -> object:
        self.done.append("the partition table")
        raise StorageFailed("it is not to be")

    async def _run(self, *argv: str) -> bytes:
        self.done.append(" ".join(argv))
        return b""

    def boots(self) -> storage.Mounted:
        stages = Stages(self.place / "stages.json")
        return asyncio.run(storage.Storage(self.place / "perm", stages, self.place / "root").bring_up())


def test_a_group_of_which_not_all_is_there_is_told_by_each_daemon_of_the_boot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def at_once(*_: str) -> str:
        return "LVM2_member"

    async def lacks(*_: str) -> tuple[str, ...]:
        return ("not all volumes are there",)

    async def mounted(name: str, place: Path) -> tuple[str, ...]:
        place.mkdir(exist_ok=True)
        return (f"{name} was damaged",)

    machine = Machine(monkeypatch, tmp_path)
    (tmp_path / "disk6").touch()
    for name, fake in (("content_of", at_once), ("ensure", lacks), ("mount", mounted)):
        monkeypatch.setattr(storage, name, fake)
    assert machine.boots().notes == ("not all volumes are there", "perm was damaged", "journal was damaged")
    monkeypatch.setattr(Path, "is_mount", lambda path: True)
    assert machine.boots().notes == ("not all volumes are there",)


def test_nothing_at_all_is_written_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, tmp_path)
    before = lay(tmp_path / "disk6", rotten=LABEL_ID).read_bytes()
    with pytest.raises(StorageFailed, match="its metadata is there"):
        machine.boots()
    assert machine.done == [] and (tmp_path / "disk6").read_bytes() == before


@pytest.mark.parametrize("rotten", [0, LABEL_ID])
def test_a_removable_disk_that_is_a_capsules_is_no_installer_whatever_has_rotted(
    rotten: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def table_of(disk: str) -> Table:
        return Table((Partition(2048, 2048, "lvm"),))

    monkeypatch.setattr(mode, "table_of", table_of)
    monkeypatch.setattr(mode, "partition_of", lambda root, number: str(tmp_path / "disk"))
    make(tmp_path / "sys", "sda", removable="1")
    make(tmp_path / "sys", "sdb")

    def is_installer() -> bool:
        return asyncio.run(mode.is_installer("/dev/sda3", "quiet", tmp_path / "sys"))

    (tmp_path / "disk").write_bytes(bytes(8 << 20))
    assert is_installer()
    lay(tmp_path / "disk", rotten=rotten)
    assert not is_installer()

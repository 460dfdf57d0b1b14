"""The sparse driver alone: what a crash, a full disk, another hand and damage do."""

import asyncio
import errno
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from capsuled.processes import outcome
from effects.errors import (
    GuestSilent,
    NoSpace,
    VolumeBusy,
    VolumeDamaged,
    VolumeFailed,
    VolumeMissing,
    VolumeTooLarge,
)
from effects.volumes import clone
from effects.volumes.guests import NoGuests
from effects.volumes.sparse_driver import SparseVolumes
from tests.contract.volume_subjects import (
    MIB,
    Answering,
    Subject,
    carry,
    debugfs,
    run,
    small_disk,
    sparse,
    subject_in,
    tidy,
)


@pytest.mark.real
def test_what_was_cut_short_is_never_used_and_is_made_again() -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        assert isinstance(driver, SparseVolumes)
        await driver.sweep(frozenset())
        directory = Path(driver.path("x", 1)).parent.parent / "volumes"
        (directory / ".data.7.img.making").write_bytes(b"half")
        assert await driver.observe() == ()
        assert list(directory.glob(".*")), "a look changes nothing"
        await driver.sweep(frozenset())
        assert not list(directory.glob(".*"))
        await driver.make("data", 7, 64 * MIB)
        # A growth that was cut behind the file's: the file system says what is so.
        with (directory / "data.7.img").open("ab") as file:
            file.truncate(128 * MIB)
        await driver.make("data", 7, 128 * MIB)
        await driver.mount("data", 7)
        fill = await driver.usage("data", 7)
        assert fill is not None and fill.total_bytes > 64 * MIB

    run(sparse, suite)


def test_what_cannot_be_removed_is_told_and_holds_up_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def inside() -> None:
        on = subject_in(tmp_path)
        directory = tmp_path / "volumes"
        (directory / ".a.7.img.making").mkdir(parents=True)
        for name in (".b.7.img.making", ".c.7.img.making", "import-1.staged"):
            (directory / name).write_bytes(b"half")
        await on.driver.sweep(frozenset())
        assert [path.name for path in directory.iterdir()] == [".a.7.img.making"]
        assert ".a.7.img.making, which a life before left half made, cannot be removed" in caplog.text

    asyncio.run(inside())


@pytest.mark.real
def test_a_file_system_left_frozen_is_thawed_also_when_its_file_is_gone() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        subprocess.run(["fsfreeze", "--freeze", path], check=True)
        Path(path).parent.parent.joinpath("volumes", "data.7.img").unlink()
        await on.driver.thaw()
        on.write(path, 3)
        assert on.read(path) == 3

    run(sparse, suite)


@pytest.mark.real
def test_a_snapshot_whose_freeze_another_hand_ended_is_none() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 128 * MIB)
        path = Path(await on.driver.mount("data", 7))
        (path / "ballast").write_bytes(os.urandom(96 * MIB))
        os.sync()
        doing = asyncio.ensure_future(on.driver.snapshot("data", 7, 9))
        while not doing.done():
            subprocess.run(["fsfreeze", "--unfreeze", path], check=False, capture_output=True)
            await asyncio.sleep(0)
        with pytest.raises(VolumeFailed):
            await doing
        (seen,) = await on.driver.observe()
        assert seen.snapshots == ()

    run(sparse, suite)


def _until_begun(directory: Path, doing: "asyncio.Future[Any]") -> None:
    while not doing.done() and not any(directory.glob(".*")):
        pass


@pytest.mark.real
def test_nothing_goes_on_once_the_driver_is_closed() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 1024 * MIB)
        path = Path(await on.driver.mount("data", 7))
        (path / "ballast").write_bytes(os.urandom(256 * MIB))
        os.sync()
        doing = asyncio.ensure_future(on.driver.snapshot("data", 7, 9))
        await asyncio.to_thread(_until_begun, path.parent.parent / "volumes", doing)
        assert not doing.done()
        doing.cancel()
        await on.driver.close()
        (path / "after").write_text("thawed")
        (seen,) = await on.driver.observe()
        assert seen.snapshots == () and not list((path.parent.parent / "volumes").glob(".*"))

    run(sparse, suite)


def _needs_a_bound(size_bytes: int) -> None:
    """Skips where a file may be so large, as on tmpfs."""
    with tempfile.TemporaryFile() as file:
        try:
            file.truncate(size_bytes)
        except OSError as error:
            assert error.errno == errno.EFBIG
        else:
            pytest.skip(f"the file system of {tempfile.gettempdir()} takes files of {size_bytes >> 40} TiB")


@pytest.mark.real
def test_a_file_system_that_takes_no_file_of_the_size_says_so() -> None:
    _needs_a_bound(1 << 50)

    async def suite(on: Subject) -> None:
        with pytest.raises(VolumeTooLarge):
            await on.driver.make("data", 7, 1 << 50)
        assert await on.driver.observe() == ()

    run(sparse, suite)


@pytest.mark.real
def test_a_copy_is_of_one_moment_also_when_somebody_looks_while_it_is_made() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 128 * MIB)
        path = Path(await on.driver.mount("data", 7))
        (path / "ballast").write_bytes(os.urandom(64 * MIB))
        os.sync()
        over = threading.Event()

        def busy() -> None:
            number = 0
            while not over.is_set():
                number += 1
                (path / f"file-{number % 50}").write_bytes(os.urandom(8192))
                os.sync()

        writer = asyncio.ensure_future(asyncio.to_thread(busy))
        try:
            doing = asyncio.ensure_future(on.driver.snapshot("data", 7, 9))
            while not doing.done():
                await on.driver.observe()
            await doing
        finally:
            over.set()
            await writer
        image = path.parent.parent / "volumes" / "data.7@9.img"
        checked = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and "recover" not in checked.stdout, checked.stdout

    run(sparse, suite)


@pytest.mark.real
def test_damage_is_named() -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        await driver.make("data", 7, 64 * MIB)
        image = Path(driver.path("x", 1)).parent.parent / "volumes" / "data.7.img"
        with image.open("r+b") as file:
            file.seek(1024)
            file.write(b"\xff" * 4096)
        with pytest.raises(VolumeDamaged, match="e2fsck"):
            await driver.mount("data", 7)

    run(sparse, suite)


@pytest.mark.real
def test_a_full_disk_leaves_nothing_half_made() -> None:
    async def inside() -> None:
        with small_disk("mkfs.ext4", "-q", size_mib=20) as disk:
            on = subject_in(disk)
            try:
                await on.driver.make("data", 7, 16 * MIB)
                path = await on.driver.mount("data", 7)
                Path(path, "ballast").write_bytes(os.urandom(10 * MIB))
                os.sync()
                with pytest.raises(NoSpace):
                    await on.driver.snapshot("data", 7, 9)
                (seen,) = await on.driver.observe()
                assert seen.snapshots == ()
                Path(path, "after").write_text("thawed")
            finally:
                tidy(disk)

    asyncio.run(inside())


@pytest.mark.real
def test_a_restore_without_room_leaves_the_volume_as_it_was() -> None:
    async def inside() -> None:
        with small_disk("mkfs.ext4", "-q", size_mib=48) as disk:
            on = subject_in(disk)
            try:
                await on.driver.make("data", 7, 16 * MIB)
                path = await on.driver.mount("data", 7)
                Path(path, "ballast").write_bytes(os.urandom(9 * MIB))
                on.write(path, 1)
                await on.driver.snapshot("data", 7, 9)
                on.write(path, 2)
                await on.driver.unmount("data", 7)
                stat = os.statvfs(disk)
                with (disk / "filler").open("wb") as file:
                    file.write(bytes(stat.f_bavail * stat.f_frsize - 4 * MIB))
                for size_bytes in (16 * MIB, 64 * MIB):
                    with pytest.raises(NoSpace):
                        await on.driver.restore("data", 7, 9, size_bytes)
                assert [path for path in (disk / "volumes").iterdir() if path.name.startswith(".")] == []
                (seen,) = await on.driver.observe()
                assert seen.size_bytes == 16 * MIB
                assert on.read(await on.driver.mount("data", 7)) == 2
            finally:
                tidy(disk)

    asyncio.run(inside())


@pytest.mark.real
def test_a_restore_that_cannot_grow_leaves_the_volume_as_it_was() -> None:
    _needs_a_bound(1 << 60)

    async def suite(on: Subject) -> None:
        driver = on.driver
        await driver.make("data", 7, 16 * MIB)
        on.write(await driver.mount("data", 7), 1)
        await driver.snapshot("data", 7, 9)
        on.write(driver.path("data", 7), 2)
        await driver.unmount("data", 7)
        with pytest.raises(VolumeTooLarge):
            await driver.restore("data", 7, 9, 1 << 60)
        (seen,) = await driver.observe()
        assert seen.size_bytes == 16 * MIB
        assert on.read(await driver.mount("data", 7)) == 2

    run(sparse, suite)


@pytest.mark.real
@pytest.mark.parametrize("fault", [OSError(errno.EMFILE, "too many open files"), asyncio.CancelledError()])
def test_a_restore_that_is_cut_short_in_whatever_way_leaves_nothing_half_made(fault: BaseException) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 16 * MIB)
        await on.driver.snapshot("data", 7, 9)
        directory = Path(on.driver.path("data", 7)).parent.parent

        async def no_process(*argv: str) -> tuple[int, str]:
            raise fault

        handicapped = SparseVolumes(no_process, directory / "volumes", directory / "mounts")
        with pytest.raises(type(fault)):
            await handicapped.restore("data", 7, 9, 64 * MIB)
        assert not list((directory / "volumes").glob(".*"))

    run(sparse, suite)


@pytest.mark.real
def test_a_mounted_volume_whose_file_is_gone_can_still_be_unmounted() -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        await driver.make("data", 7, 64 * MIB)
        path = await driver.mount("data", 7)
        Path(path).parent.parent.joinpath("volumes", "data.7.img").unlink()
        with pytest.raises(VolumeMissing):
            await driver.snapshot("data", 7, 9)
        assert await driver.observe() == () and await driver.mounted() == {("data", 7)}
        await driver.unmount("data", 7)
        assert await driver.mounted() == frozenset() and not os.path.ismount(path)

    run(sparse, suite)


@pytest.mark.real
def test_an_error_that_a_guest_met_is_shown_until_the_volume_is_checked() -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        await driver.make("data", 7, 64 * MIB)
        path = await driver.attach("data", 7)
        release = on.hold(path)
        assert [(one.mounted, one.read_only) for one in await driver.observe()] == [(True, False)]
        debugfs(path, "set_super_value state 2")
        assert [(one.mounted, one.read_only) for one in await driver.observe()] == [(True, True)]
        with pytest.raises(VolumeFailed, match="restart its workload first"):
            await driver.snapshot("data", 7, 9)
        release()
        assert await driver.attach("data", 7) == path
        assert [(one.mounted, one.read_only) for one in await driver.observe()] == [(True, False)]

    run(sparse, suite)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())


@pytest.mark.real
def test_a_full_disk_under_a_mounted_volume_is_seen_and_mended_once_there_is_room() -> None:
    async def inside() -> None:
        with small_disk("mkfs.ext4", "-q", size_mib=80) as disk:
            on = subject_in(disk)
            try:
                await on.driver.make("data", 7, 64 * MIB)
                path = await on.driver.mount("data", 7)
                on.write(path, 1)
                os.sync()
                stat = os.statvfs(disk)
                with (disk / "filler").open("wb") as file:
                    file.write(bytes(stat.f_bavail * stat.f_frsize - 4 * MIB))
                with pytest.raises(OSError):
                    for number in range(8):
                        _write_synced(Path(path, f"ballast-{number}"), os.urandom(6 * MIB))
                with pytest.raises(OSError):
                    for number in range(100):
                        Path(path, f"more-{number}").mkdir()
                        os.sync()
                (seen,) = await on.driver.observe()
                assert seen.read_only
                (disk / "filler").unlink()
                assert await on.driver.mount("data", 7) == path
                assert on.read(path) == 1
                on.write(path, 2)
            finally:
                tidy(disk)

    asyncio.run(inside())


@pytest.mark.real
def test_a_look_makes_nothing_where_there_are_no_volumes(tmp_path: Path) -> None:
    async def inside() -> None:
        on = subject_in(tmp_path)
        assert await on.driver.observe() == () and await on.driver.mounted() == frozenset()
        assert list(tmp_path.iterdir()) == []

    asyncio.run(inside())


@pytest.mark.real
def test_a_staged_file_takes_no_more_of_the_disk_than_its_data_and_must_hold_a_file_system() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        Path(path, "zeroes").write_bytes(bytes(8 * MIB))
        Path(path, "noise").write_bytes(os.urandom(2 * MIB))
        await carry(on, 64 * MIB)
        copy = next(one for one in await on.driver.observe() if one.name == "copy")
        assert 2 * MIB < copy.used_bytes < 8 * MIB, "neither holes nor zeroes are written"
        other = Path(await on.driver.mount("copy", 8))
        assert (other / "zeroes").read_bytes() == bytes(8 * MIB)
        assert (other / "noise").read_bytes() == Path(path, "noise").read_bytes()
        nothing = await on.porter.stage("import-2", 64 * MIB)
        with pytest.raises(VolumeDamaged):
            await nothing.settle()
        nothing.close()
        assert not list(Path(path).parent.parent.glob("volumes/*import*"))

    run(sparse, suite)


@pytest.mark.real
def test_one_that_a_machine_was_cut_off_from_is_checked_before_it_is_attached_again() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        disk = await on.driver.attach("data", 7)
        subprocess.run(["debugfs", "-w", "-R", "set_super_value state 0", disk], check=True, capture_output=True)
        assert await on.driver.attach("data", 7) == disk
        shown = subprocess.run(["dumpe2fs", "-h", disk], check=True, capture_output=True, text=True).stdout
        assert "Filesystem state:         clean\n" in shown
        Path(disk).unlink()
        assert await on.driver.mounted() == {("data", 7)}
        await on.driver.detach("data", 7)
        assert await on.driver.mounted() == frozenset()

    run(sparse, suite)


@pytest.mark.real
def test_a_snapshot_that_a_guest_did_not_hold_still_for_is_none() -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        assert isinstance(driver, SparseVolumes)
        guests = driver.uses.guests
        assert isinstance(guests, Answering)
        await driver.make("data", 7, 64 * MIB)
        release = on.hold(await driver.attach("data", 7))
        guests.loose = True
        try:
            with pytest.raises(VolumeFailed):
                await driver.snapshot("data", 7, 9)
            assert guests.told == ["freeze", "thaw"]
            driver.uses.guests = NoGuests()
            with pytest.raises(GuestSilent, match="stop it"):
                await driver.snapshot("data", 7, 9)
        finally:
            release()
        (seen,) = await driver.observe()
        assert seen.snapshots == () and len(list(Path(driver.path("x", 1)).parent.parent.glob("volumes/*"))) == 1

    run(sparse, suite)


class Fsck:
    """The machine's commands; a check, once it is `asked`, waits until it may end."""

    def __init__(self) -> None:
        self.asked, self.may_end = asyncio.Event(), asyncio.Event()

    async def __call__(self, *argv: str) -> tuple[int, str]:
        if argv[0] == "e2fsck":
            self.asked.set()
            await self.may_end.wait()
        return await outcome(*argv)


@pytest.mark.real
@pytest.mark.parametrize("attached_before", [True, False])
def test_a_file_system_that_is_being_checked_for_a_machine_is_not_copied(attached_before: bool) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 16 * MIB)
        if attached_before:
            await on.driver.attach("data", 7)
        place, fsck = Path(on.driver.path("data", 7)).parent.parent, Fsck()
        driver = SparseVolumes(fsck, place / "volumes", place / "mounts")
        attaching = asyncio.ensure_future(driver.attach("data", 7))
        await fsck.asked.wait()
        with pytest.raises((GuestSilent, VolumeFailed)):
            await driver.snapshot("data", 7, 9)
        fsck.may_end.set()
        await attaching
        (seen,) = await driver.observe()
        assert seen.snapshots == () and not list((place / "volumes").glob(".*"))
        await driver.snapshot("data", 7, 9)

    run(sparse, suite)


@pytest.mark.real
def test_one_that_is_being_copied_is_not_checked_for_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 16 * MIB)
        copies, may_end, really = threading.Event(), threading.Event(), clone.clone

        def slow(source: Path, target: Path, stop: threading.Event) -> bool:
            copies.set()
            assert may_end.wait(30)
            return really(source, target, stop)

        monkeypatch.setattr(clone, "clone", slow)
        taking = asyncio.ensure_future(on.driver.snapshot("data", 7, 9))
        assert await asyncio.to_thread(copies.wait, 30)
        with pytest.raises(VolumeBusy):
            await on.driver.attach("data", 7)
        may_end.set()
        await taking
        await on.driver.attach("data", 7)

    run(sparse, suite)


@pytest.mark.real
def test_a_small_one_grows_to_a_terabyte_at_one_go_and_keeps_its_content() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 16 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        await on.driver.unmount("data", 7)
        await on.driver.grow("data", 7, 1 << 40)
        assert on.read(await on.driver.mount("data", 7)) == 42
        fill = await on.driver.usage("data", 7)
        assert fill is not None and fill.total_bytes > 900 << 30

    run(sparse, suite)


@pytest.mark.real
def test_one_with_small_blocks_says_how_far_it_can_grow_and_stays_as_it_is() -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 16 * MIB)
        image = Path(await on.driver.attach("data", 7))
        await on.driver.detach("data", 7)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "1024", image], check=True, capture_output=True)
        with pytest.raises(VolumeTooLarge, match="beyond 1023 GiB"):
            await on.driver.grow("data", 7, 1 << 40)
        (seen,) = await on.driver.observe()
        assert seen.size_bytes == 16 * MIB
        await on.driver.grow("data", 7, 1 << 30)
        await on.driver.mount("data", 7)

    run(sparse, suite)

"""The contract of a driver of volumes, on the twin and on the sparse driver: whatever the simulation relies on."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from capsuled.processes import outcome
from effects.errors import (
    NoSpace,
    NotDetached,
    SnapshotMissing,
    VolumeBusy,
    VolumeDamaged,
    VolumeFailed,
    VolumeMissing,
    VolumeTooLarge,
)
from effects.volumes.protocol import VolumeDriver
from effects.volumes.sparse_driver import SparseVolumes
from effects.volumes.twin import Storage, TwinVolumes

MIB = 1 << 20


class Subject(NamedTuple):
    """A driver, and what a workload does with a mounted volume: write a number, read it, hold the volume open. `spoil`
    is an error of its file system, after which nothing can be written."""

    driver: VolumeDriver
    write: Callable[[str, int], None]
    read: Callable[[str], int]
    hold: Callable[[str], Callable[[], None]]
    spoil: Callable[[str], None]


Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    storage = Storage()
    driver = TwinVolumes(storage, _no_step)
    held: set[str] = set()
    storage.in_use = held.__contains__

    def volume(path: str) -> Any:
        return next(one for (name, uid), one in storage.volumes.items() if driver.path(name, uid) == path)

    def write(path: str, number: int) -> None:
        volume(path).content = number

    def hold(path: str) -> Callable[[], None]:
        held.add(path)
        return lambda: held.discard(path)

    def spoil(path: str) -> None:
        volume(path).read_only = True

    yield Subject(driver, write, lambda path: int(volume(path).content), hold, spoil)


def _subject(directory: Path) -> Subject:
    def spoil(path: str) -> None:
        os.sync()
        found = subprocess.run(["findmnt", "-no", "SOURCE", path], check=True, capture_output=True, text=True).stdout
        Path("/sys/fs/ext4", Path(found.strip()).name, "trigger_fs_error").write_text("a test's")

    def hold(path: str) -> Callable[[], None]:
        fd = os.open(path, os.O_RDONLY)
        return lambda: os.close(fd)

    return Subject(
        SparseVolumes(outcome, directory / "volumes", directory / "mounts"),
        lambda path, number: Path(path, "number").write_text(str(number)) and None,
        lambda path: int(Path(path, "number").read_text()),
        hold,
        spoil,
    )


def _tidy(directory: Path) -> None:
    for mount in (directory / "mounts").glob("*"):
        subprocess.run(["umount", mount], capture_output=True, check=False)
    shutil.rmtree(directory / "volumes", ignore_errors=True)
    shutil.rmtree(directory / "mounts", ignore_errors=True)


@asynccontextmanager
async def sparse() -> AsyncIterator[Subject]:
    directory = Path(tempfile.mkdtemp(prefix="capsule-volumes-"))
    try:
        yield _subject(directory)
    finally:
        _tidy(directory)
        directory.rmdir()


@asynccontextmanager
async def reflink() -> AsyncIterator[Subject]:
    """On a file system that can share blocks."""
    with small_disk("mkfs.xfs", "-q", "-m", "reflink=1", size_mib=512) as disk:
        try:
            yield _subject(disk)
        finally:
            _tidy(disk)


@contextmanager
def small_disk(*mkfs: str, size_mib: int) -> Iterator[Path]:
    """A file system of its own, mounted."""
    directory = Path(tempfile.mkdtemp(prefix="capsule-disk-"))
    image, point = directory / "image", directory / "point"
    point.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(size_mib * MIB)
        subprocess.run([*mkfs, image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, point], check=True, capture_output=True)
        yield point
    finally:
        subprocess.run(["umount", point], capture_output=True, check=False)
        shutil.rmtree(directory, ignore_errors=True)


ALL = pytest.mark.parametrize(
    "subject",
    [
        twin,
        pytest.param(sparse, marks=pytest.mark.real),
        pytest.param(
            reflink,
            marks=[
                pytest.mark.real,
                pytest.mark.skipif(shutil.which("mkfs.xfs") is None, reason="this machine lacks mkfs.xfs (xfsprogs)"),
            ],
        ),
    ],
    ids=["twin", "sparse", "sparse on reflink"],
)


def run(subject: Any, suite: Suite) -> None:
    async def inside() -> None:
        async with subject() as made:
            await suite(made)

    asyncio.run(inside())


@ALL
def test_a_volume_is_made_once_and_keeps_what_is_written(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        assert path == on.driver.path("data", 7) == await on.driver.mount("data", 7)
        on.write(path, 42)
        await on.driver.make("data", 7, 64 * MIB)
        await on.driver.unmount("data", 7)
        await on.driver.unmount("data", 7)
        await on.driver.make("data", 7, 64 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 42
        (seen,) = await on.driver.observe()
        assert (seen.name, seen.uid, seen.size_bytes, seen.mounted) == ("data", 7, 64 * MIB, True)

    run(subject, suite)


@ALL
def test_another_incarnation_is_another_volume(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        for uid in (7, 8):
            await on.driver.make("data", uid, 64 * MIB)
            on.write(await on.driver.mount("data", uid), uid)
        await on.driver.remove("data", 7)
        assert [(seen.name, seen.uid) for seen in await on.driver.observe()] == [("data", 8)]
        assert on.read(on.driver.path("data", 8)) == 8
        with pytest.raises(VolumeMissing):
            await on.driver.mount("data", 7)
        await on.driver.remove("data", 7)

    run(subject, suite)


@ALL
def test_it_grows_detached_only_and_keeps_its_content(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        with pytest.raises(NotDetached):
            await on.driver.make("data", 7, 128 * MIB)
        await on.driver.unmount("data", 7)
        await on.driver.make("data", 7, 128 * MIB)
        await on.driver.make("data", 7, 128 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 42
        fill = await on.driver.usage("data", 7)
        assert fill is not None and fill.total_bytes > 64 * MIB
        (seen,) = await on.driver.observe()
        assert seen.size_bytes == 128 * MIB

    run(subject, suite)


@ALL
def test_what_is_used_cannot_be_unmounted_or_removed(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        on.write(path, 42)
        release = on.hold(path)
        try:
            with pytest.raises(VolumeBusy):
                await on.driver.unmount("data", 7)
            with pytest.raises(VolumeBusy):
                await on.driver.remove("data", 7)
            assert on.read(path) == 42
        finally:
            release()
        await on.driver.remove("data", 7)
        assert await on.driver.observe() == ()

    run(subject, suite)


@ALL
def test_a_snapshot_is_a_moment_and_can_be_gone_back_to(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        on.write(path, 1)
        method = await on.driver.snapshot("data", 7, 9)
        on.write(path, 2)
        assert await on.driver.snapshot("data", 7, 9) == method, "asked again, it stays what it was"
        with pytest.raises(NotDetached):
            await on.driver.restore("data", 7, 9, 64 * MIB)
        await on.driver.unmount("data", 7)
        await on.driver.restore("data", 7, 9, 64 * MIB)
        await on.driver.restore("data", 7, 9, 64 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 1
        (seen,) = await on.driver.observe()
        assert [(one.snapshot, one.method) for one in seen.snapshots] == [(9, method)]
        await on.driver.remove_snapshot("data", 7, 9)
        await on.driver.remove_snapshot("data", 7, 9)
        (seen,) = await on.driver.observe()
        assert seen.snapshots == ()
        await on.driver.unmount("data", 7)
        with pytest.raises(SnapshotMissing):
            await on.driver.restore("data", 7, 9, 64 * MIB)

    run(subject, suite)


@ALL
def test_a_snapshot_from_before_a_growth_comes_back_at_todays_size(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 1)
        await on.driver.unmount("data", 7)
        await on.driver.snapshot("data", 7, 9)
        await on.driver.make("data", 7, 128 * MIB)
        await on.driver.restore("data", 7, 9, 128 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 1
        fill = await on.driver.usage("data", 7)
        assert fill is not None and fill.total_bytes > 64 * MIB

    run(subject, suite)


@ALL
def test_whoever_looks_while_something_is_made_does_not_disturb_it(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        async def watched(work: Awaitable[object]) -> None:
            doing = asyncio.ensure_future(work)
            while not doing.done():
                await on.driver.observe()
            await doing

        await watched(on.driver.make("data", 7, 64 * MIB))
        on.write(await on.driver.mount("data", 7), 1)
        await watched(on.driver.snapshot("data", 7, 9))
        await watched(on.driver.unmount("data", 7))
        await watched(on.driver.restore("data", 7, 9, 64 * MIB))
        assert on.read(await on.driver.mount("data", 7)) == 1
        await watched(on.driver.remove_snapshot("data", 7, 9))
        await on.driver.unmount("data", 7)
        await watched(on.driver.remove("data", 7))
        assert await on.driver.observe() == ()

    run(subject, suite)


@ALL
def test_what_is_gone_is_not_made_again_by_growing_it(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        with pytest.raises(VolumeMissing):
            await on.driver.grow("data", 7, 128 * MIB)
        assert await on.driver.observe() == ()
        await on.driver.make("data", 7, 64 * MIB)
        with pytest.raises(SnapshotMissing):
            await on.driver.restore("data", 7, 9, 64 * MIB)

    run(subject, suite)


# --- the sparse driver alone: what a crash, a full disk and damage do ------------------------------------------------


@pytest.mark.real
def test_what_was_cut_short_is_never_used_and_is_made_again() -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        assert isinstance(driver, SparseVolumes)
        await driver.sweep()
        directory = Path(driver.path("x", 1)).parent.parent / "volumes"
        (directory / ".data.7.img.making").write_bytes(b"half")
        assert await driver.observe() == ()
        assert list(directory.glob(".*")), "a look changes nothing"
        await driver.sweep()
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


@pytest.mark.real
def test_a_file_system_that_takes_no_file_of_the_size_says_so() -> None:
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
def test_damage_is_named_and_a_journal_is_replayed() -> None:
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
            on = _subject(disk)
            try:
                await on.driver.make("data", 7, 16 * MIB)
                path = await on.driver.mount("data", 7)
                Path(path, "ballast").write_bytes(os.urandom(11 * MIB))
                os.sync()
                with pytest.raises(NoSpace):
                    await on.driver.snapshot("data", 7, 9)
                (seen,) = await on.driver.observe()
                assert seen.snapshots == ()
                Path(path, "after").write_text("thawed")
            finally:
                _tidy(disk)

    asyncio.run(inside())


@pytest.mark.real
def test_a_restore_without_room_leaves_the_volume_as_it_was() -> None:
    async def inside() -> None:
        with small_disk("mkfs.ext4", "-q", size_mib=48) as disk:
            on = _subject(disk)
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
                _tidy(disk)

    asyncio.run(inside())


@pytest.mark.real
def test_a_restore_that_cannot_grow_leaves_the_volume_as_it_was() -> None:
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


@ALL
def test_a_file_system_that_went_read_only_by_an_error_is_shown_and_mounted_anew(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        on.write(path, 1)
        assert [(one.mounted, one.read_only) for one in await on.driver.observe()] == [(True, False)]
        on.spoil(path)
        assert [(one.mounted, one.read_only) for one in await on.driver.observe()] == [(True, True)]
        with pytest.raises(VolumeFailed):
            await on.driver.snapshot("data", 7, 9)
        release = on.hold(path)
        try:
            with pytest.raises(VolumeBusy):
                await on.driver.mount("data", 7)
        finally:
            release()
        assert await on.driver.mount("data", 7) == path
        assert [(one.mounted, one.read_only) for one in await on.driver.observe()] == [(True, False)]
        assert on.read(path) == 1
        on.write(path, 2)
        assert on.read(path) == 2

    run(subject, suite)


@ALL
def test_what_is_mounted_is_known(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        await on.driver.make("more", 8, 64 * MIB)
        assert await on.driver.mounted() == frozenset()
        await on.driver.mount("data", 7)
        assert await on.driver.mounted() == {("data", 7)}
        await on.driver.unmount("data", 7)
        assert await on.driver.mounted() == frozenset()

    run(subject, suite)


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


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())


@pytest.mark.real
def test_a_full_disk_under_a_mounted_volume_is_seen_and_mended_once_there_is_room() -> None:
    async def inside() -> None:
        with small_disk("mkfs.ext4", "-q", size_mib=80) as disk:
            on = _subject(disk)
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
                _tidy(disk)

    asyncio.run(inside())


@pytest.mark.real
def test_a_look_makes_nothing_where_there_are_no_volumes(tmp_path: Path) -> None:
    async def inside() -> None:
        on = _subject(tmp_path)
        assert await on.driver.observe() == () and await on.driver.mounted() == frozenset()
        assert list(tmp_path.iterdir()) == []

    asyncio.run(inside())

"""What the contract of a driver of volumes is held against: the twin and the sparse driver, and disks to break it on."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from capsuled.processes import outcome
from effects import held
from effects.errors import GuestSilent, VolumeFailed
from effects.volumes.protocol import VolumeDriver, VolumePorter
from effects.volumes.sparse_driver import SparseVolumes
from effects.volumes.sparse_porter import SparsePorter
from effects.volumes.thin_driver import ThinVolumes
from effects.volumes.thin_group import ThinGroup
from effects.volumes.thin_porter import ThinPorter
from effects.volumes.twin import Storage, TwinVolumes
from effects.volumes.twin_porter import TwinPorter
from projections.storage import Fill

MIB = 1 << 20
POOL = "CAPSULE_TEST_POOL"
"""In the environment of the booted image (tests/boot): a thin pool that volumes may be made on."""


class Subject(NamedTuple):
    """A driver, and what a workload does with a mounted volume: write a number, read it, hold the volume open; and a
    virtual machine with one that is attached, by the path it has then. `spoil` is an error of its file system, after
    which nothing can be written; `unmount` is another hand's, also while somebody has it open; `silence` is that guests
    do not answer, or do again; `stored` names everything that takes room in the storage."""

    driver: VolumeDriver
    porter: VolumePorter
    write: Callable[[str, int], None]
    read: Callable[[str], int]
    hold: Callable[[str], Callable[[], None]]
    spoil: Callable[[str], None]
    unmount: Callable[[str], object]
    silence: Callable[[bool], None]
    stored: Callable[[], Awaitable[set[str]]]


Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    storage = Storage()
    driver = TwinVolumes(storage, _no_step)
    in_use: set[str] = set()
    storage.in_use = in_use.__contains__

    def volume(path: str) -> Any:
        place = path.removesuffix(".disk")
        return next(one for (name, uid), one in storage.volumes.items() if driver.path(name, uid) == place)

    def write(path: str, number: int) -> None:
        volume(path).content = number

    def hold(path: str) -> Callable[[], None]:
        in_use.add(path)
        return lambda: in_use.discard(path)

    def spoil(path: str) -> None:
        volume(path).read_only = True

    def unmount(path: str) -> None:
        storage.unmount(next(key for key in storage.volumes if driver.path(*key) == path))

    def silence(yes: bool) -> None:
        storage.silent = yes

    async def stored() -> set[str]:
        aside = {f"stranger-{number}" for number, _ in enumerate(storage.aside)}
        return {*storage.staged, *map(str, storage.volumes), *map(str, storage.scratch), *aside}

    porter = TwinPorter(storage, _no_step)
    yield Subject(driver, porter, write, lambda path: int(volume(path).content), hold, spoil, unmount, silence, stored)


class Answering:
    """Guests that do as they are told; `told` is what. Thawed by another hand when `loose`."""

    def __init__(self) -> None:
        self.silent = self.loose = False
        self.told: list[str] = []

    @asynccontextmanager
    async def frozen(self, name: str, uid: int) -> AsyncIterator[None]:
        if self.silent:
            raise GuestSilent("nobody is there")
        self.told.append("freeze")
        try:
            yield
        finally:
            self.told.append("thaw")
        if self.loose:
            raise VolumeFailed(f"volume {name} was not frozen any more")

    async def usage(self, name: str, uid: int) -> Fill | None:
        if self.silent:
            raise GuestSilent("nobody is there")
        return Fill(64 * MIB, MIB)


def subject_in(directory: Path) -> Subject:
    def spoil(path: str) -> None:
        os.sync()
        found = subprocess.run(["findmnt", "-no", "SOURCE", path], check=True, capture_output=True, text=True).stdout
        number = os.stat(found.strip()).st_rdev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name
        Path("/sys/fs/ext4", device, "trigger_fs_error").write_text("a test's")

    def hold(path: str) -> Callable[[], None]:
        fd = os.open(path, os.O_RDONLY) if os.path.isdir(path) else held.opened(Path(path), shared=False)
        return lambda: os.close(fd)

    def write(path: str, number: int) -> None:
        if os.path.isdir(path):
            Path(path, "number").write_text(str(number))
            return
        source = directory / "number"
        source.write_text(str(number))
        debugfs(path, "rm number", f"write {source} number")
        source.unlink()

    def read(path: str) -> int:
        if os.path.isdir(path):
            return int(Path(path, "number").read_text())
        return int(debugfs(path, "cat number").splitlines()[-1].removeprefix("debugfs:  "))

    guests = Answering()

    def silence(yes: bool) -> None:
        guests.silent = yes

    async def stored() -> set[str]:
        return {path.name for path in (directory / "volumes").glob("*")}

    driver = SparseVolumes(outcome, directory / "volumes", directory / "mounts")
    driver.uses.guests = guests
    unmount = lambda path: subprocess.run(["umount", "--lazy", path], check=True)  # noqa: E731
    porter = SparsePorter(outcome, directory / "volumes")
    return Subject(driver, porter, write, read, hold, spoil, unmount, silence, stored)


def debugfs(image: str, *commands: str) -> str:
    """What a guest does to the file system, without one."""
    words = ["debugfs", "-w", "-f", "-", image]
    return subprocess.run(words, input="\n".join(commands), capture_output=True, text=True, check=True).stdout


def tidy(directory: Path) -> None:
    for mount in (directory / "mounts").glob("*"):
        subprocess.run(["umount", mount], capture_output=True, check=False)
    shutil.rmtree(directory / "volumes", ignore_errors=True)
    shutil.rmtree(directory / "mounts", ignore_errors=True)


@asynccontextmanager
async def sparse() -> AsyncIterator[Subject]:
    directory = Path(tempfile.mkdtemp(prefix="capsule-volumes-"))
    try:
        yield subject_in(directory)
    finally:
        tidy(directory)
        directory.rmdir()


@asynccontextmanager
async def reflink() -> AsyncIterator[Subject]:
    """On a file system that can share blocks."""
    with small_disk("mkfs.xfs", "-q", "-m", "reflink=1", size_mib=512) as disk:
        try:
            yield subject_in(disk)
        finally:
            tidy(disk)


@asynccontextmanager
async def thin() -> AsyncIterator[Subject]:
    """On a real thin pool, GROUP/POOL: on the booted image there is one (tests/boot)."""
    directory = Path(tempfile.mkdtemp(prefix="capsule-volumes-"))
    name, _, pool = os.environ[POOL].partition("/")
    group = ThinGroup(outcome, name, pool)
    before = set(await group.look())
    try:
        files = subject_in(directory)
        driver, porter = ThinVolumes(outcome, group, directory / "mounts"), ThinPorter(outcome, group)
        assert isinstance(files.driver, SparseVolumes)
        driver.uses.guests = files.driver.uses.guests

        async def stored() -> set[str]:
            return set(await group.look())

        yield files._replace(driver=driver, porter=porter, stored=stored)
    finally:
        tidy(directory)
        directory.rmdir()
        await group.remove(*sorted(set(await group.look()) - before))


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
        # At once for us, and for who still has it open with that: it was left mounted when it was busy.
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
        shutil.rmtree(directory, ignore_errors=True)


REAL = (
    pytest.param(sparse, marks=pytest.mark.real, id="sparse"),
    pytest.param(
        reflink,
        marks=[
            pytest.mark.real,
            pytest.mark.skipif(shutil.which("mkfs.xfs") is None, reason="this machine lacks mkfs.xfs (xfsprogs)"),
        ],
        id="sparse on reflink",
    ),
    *((pytest.param(thin, id="thin"),) if POOL in os.environ else ()),
)
ALL = pytest.mark.parametrize("subject", [pytest.param(twin, id="twin"), *REAL])
ON_BLOCKS = pytest.mark.parametrize("subject", REAL)
"""What the twin has none of."""


async def carry(on: Subject, size_bytes: int) -> None:
    """The volume data.7 becomes copy.8 by the way that exports and imports go."""
    await on.driver.snapshot("data", 7, 9)
    reading, staging = await on.porter.read("data", 7, 9), await on.porter.stage("import-1", size_bytes)
    for offset, content in reading.pieces():
        staging.write(offset, content)
    reading.close()
    await staging.settle()
    staging.close()
    await on.driver.adopt("copy", 8, "import-1")


def run(subject: Any, suite: Suite) -> None:
    async def inside() -> None:
        async with subject() as made:
            await suite(made)

    asyncio.run(inside())

"""The contract of a driver of secrets' files, on the twin and on a file system in memory."""

import asyncio
import os
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from effects.errors import DriverError, MemoryFull
from effects.memory import mount_memory, unmount_memory
from effects.secrets.memory_driver import MemorySecretFiles
from effects.secrets.protocol import SecretContent, SecretFilesDriver, SeenFiles, place_of
from effects.secrets.twin import Shelf, TwinSecretFiles
from tests.support.watched import watched_pipe


class Subject(NamedTuple):
    """A driver, and what a workload would read at the paths inside, with mode and owner."""

    driver: SecretFilesDriver
    read: Callable[..., dict[str, tuple[bytes, int, int, int]]]


Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    shelf = Shelf()

    def read(name: str, uid: int, *paths: str) -> dict[str, tuple[bytes, int, int, int]]:
        found = shelf.places.get((name, uid), {})
        files = {path: found[place_of(path)] for path in paths if place_of(path) in found}
        return {path: (one.content, one.mode, one.uid, one.gid) for path, one in files.items()}

    yield Subject(TwinSecretFiles(shelf, _no_step), read)


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    with tempfile.TemporaryDirectory(prefix="capsule-secrets-") as scratch:
        memory = Path(scratch) / "memory"
        driver = MemorySecretFiles(memory)

        def read(name: str, uid: int, *paths: str) -> dict[str, tuple[bytes, int, int, int]]:
            found = {}
            for directory in driver.directories(name, uid, paths):
                for path in paths:
                    file = Path(directory.source, os.path.basename(path))
                    if os.path.dirname(path) == directory.target and file.exists():
                        is_ = file.stat()
                        found[path] = (file.read_bytes(), is_.st_mode & 0o7777, is_.st_uid, is_.st_gid)
            return found

        mount_memory(memory)
        try:
            yield Subject(driver, read)
        finally:
            unmount_memory(memory)
        assert not memory.exists()


BOTH = pytest.mark.parametrize("subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "memory"])


def run_suite(subject: Any, suite: Suite) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject() as made:
            await suite(made)

    asyncio.run(main())


def file(path: str = "/run/secrets/db", content: bytes = b"one", **fields: int) -> SecretContent:
    return SecretContent(path, content, **{"mode": 0o400, "uid": 0, "gid": 0, **fields})


@BOTH
def test_files_are_as_they_shall_be_however_often_they_are_ensured(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        files = (file(), file("/run/secrets/b", b"\x00\xff", mode=0o440, uid=1000, gid=2000), file("/srv/keys/db"))
        paths = tuple(one.path for one in files)
        for _ in range(3):
            await made.driver.ensure("web", 7, files)
            assert made.read("web", 7, *paths) == {
                "/run/secrets/db": (b"one", 0o400, 0, 0),
                "/run/secrets/b": (b"\x00\xff", 0o440, 1000, 2000),
                "/srv/keys/db": (b"one", 0o400, 0, 0),
            }
        assert await made.driver.observe() == (SeenFiles("web", 7, frozenset(map(place_of, paths))),)

    run_suite(subject, suite)


@BOTH
def test_another_value_another_owner_and_another_set_take_their_place(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await made.driver.ensure("web", 7, (file(), file("/run/secrets/other"), file("/srv/keys/db")))
        await made.driver.ensure("web", 7, (file(content=b"two"), file("/srv/more/db", mode=0o444)))
        paths = ("/run/secrets/db", "/run/secrets/other", "/srv/keys/db", "/srv/more/db")
        assert made.read("web", 7, *paths) == {
            "/run/secrets/db": (b"two", 0o400, 0, 0),
            "/srv/more/db": (b"one", 0o444, 0, 0),
        }
        await made.driver.ensure("web", 7, (file(content=b"two", mode=0o440, gid=5),))
        assert made.read("web", 7, *paths) == {"/run/secrets/db": (b"two", 0o440, 0, 5)}

    run_suite(subject, suite)


@BOTH
def test_an_incarnation_has_its_own_and_what_is_removed_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await made.driver.ensure("web", 7, (file(),))
        await made.driver.ensure("web", 9, (file(content=b"nine"),))
        await made.driver.ensure("db", 8, (file(content=b"eight"),))
        for _ in range(2):
            await made.driver.remove("web", 7)
        assert made.read("web", 7, "/run/secrets/db") == {}
        assert made.read("web", 9, "/run/secrets/db")["/run/secrets/db"][0] == b"nine"
        assert {(one.name, one.uid) for one in await made.driver.observe()} == {("web", 9), ("db", 8)}
        await made.driver.remove("web", 9)
        await made.driver.remove("db", 8)
        assert await made.driver.observe() == ()

    run_suite(subject, suite)


@BOTH
def test_a_directory_is_mounted_for_each_directory_inside(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        paths = ("/run/secrets/a", "/run/secrets/b", "/srv/keys/a")
        found = made.driver.directories("web", 7, paths)
        assert [one.target for one in found] == ["/run/secrets", "/srv/keys"]
        assert len({one.source for one in found}) == 2
        assert {one.source for one in made.driver.directories("web", 8, paths)}.isdisjoint(one.source for one in found)

    run_suite(subject, suite)


def on_memory(suite: Callable[[MemorySecretFiles, Path], Awaitable[None]]) -> None:
    async def inner(made: Subject) -> None:
        driver = made.driver
        assert isinstance(driver, MemorySecretFiles)
        await driver.ensure("web", 7, (file(),))
        (directory,) = driver.directories("web", 7, ("/run/secrets/db",))
        await suite(driver, Path(directory.source))

    run_suite(real, inner)


@pytest.mark.real
def test_a_reader_sees_the_old_or_the_new_and_never_a_part() -> None:
    async def suite(driver: MemorySecretFiles, directory: Path) -> None:
        values = [bytes([number]) * (200_000 + number) for number in range(2)]
        await driver.ensure("web", 7, (file(content=values[0]),))
        seen: set[bytes] = set()
        stop = threading.Event()

        def look() -> None:
            while not stop.is_set():
                seen.add((directory / "db").read_bytes())

        reader = threading.Thread(target=look)
        reader.start()
        for turn in range(60):
            await driver.ensure("web", 7, (file(content=values[turn % 2]),))
        stop.set()
        await asyncio.to_thread(reader.join)
        assert seen == set(values)

    on_memory(suite)


@pytest.mark.real
@pytest.mark.parametrize("trap", ["link to a file", "link to nowhere", "directory", "directory's link", "fifo"])
def test_what_a_workload_put_there_leads_nowhere(tmp_path: Path, trap: str) -> None:
    """A privileged one can make its own mount writable, and what it makes there the daemon meets as root."""
    target = tmp_path / "target"
    target.write_bytes(b"of the machine")

    async def suite(driver: MemorySecretFiles, directory: Path) -> None:
        place = directory / "db"
        place.unlink()
        match trap:
            case "link to a file":
                place.symlink_to(target)
            case "link to nowhere":
                place.symlink_to(tmp_path / "made")
            case "directory":
                (place / "deep").mkdir(parents=True)
                (place / "deep" / "link").symlink_to(target)
            case "directory's link":
                place.symlink_to(tmp_path)
            case "fifo":
                os.mkfifo(place)
        (directory / "stray").symlink_to(tmp_path)
        (directory / "more").mkdir()
        (directory / "more" / "link").symlink_to(tmp_path)
        await driver.ensure("web", 7, (file(content=b"two"),))
        assert not place.is_symlink() and place.read_bytes() == b"two"
        assert [path.name for path in directory.iterdir()] == ["db"]
        await driver.remove("web", 7)

    on_memory(suite)
    assert target.read_bytes() == b"of the machine" and [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.real
def test_what_a_workload_put_there_is_not_even_opened() -> None:
    """It could be a device, of which that alone asks for something."""

    async def suite(driver: MemorySecretFiles, directory: Path) -> None:
        (directory / "db").unlink()
        with watched_pipe(directory / "db") as was_opened:
            await driver.ensure("web", 7, (file(),))
            assert not was_opened()
        assert (directory / "db").read_bytes() == b"one"

    on_memory(suite)


@pytest.mark.real
def test_a_full_memory_is_told_and_the_old_value_stays() -> None:
    async def suite(driver: MemorySecretFiles, directory: Path) -> None:
        memory = next(path for path in directory.parents if path.is_mount())
        subprocess.run(["mount", "-o", "remount,size=1M", memory], check=True)
        with pytest.raises(MemoryFull, match="a quarter of the machine's memory"):
            await driver.ensure("web", 7, (file(content=bytes(1 << 20)),))
        assert (directory / "db").read_bytes() == b"one"
        subprocess.run(["mount", "-o", "remount,size=4M", memory], check=True)
        await driver.ensure("web", 7, (file(content=bytes(1 << 20)),))
        assert (directory / "db").read_bytes() == bytes(1 << 20)

    on_memory(suite)


@pytest.mark.real
def test_a_place_that_cannot_be_had_is_a_drivers_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    driver = MemorySecretFiles(tmp_path / "file" / "memory")
    with pytest.raises(DriverError, match="cannot be written"):
        asyncio.run(driver.ensure("web", 7, (file(),)))

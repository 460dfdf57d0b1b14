"""The contracts of boot loader and slots, on the twins and on files of the real form."""

import asyncio
import errno
import hashlib
import itertools
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from effects.slots.environment_block import BLOCK_BYTES, FILLING, HEAD, SECTOR_BYTES, decode, encode
from effects.slots.fat import NotFound, locate
from effects.slots.grub_loader import FILE, GrubLoader
from effects.slots.partitions import PIECE_BYTES, STRETCH_BYTES, Partitions
from effects.slots.protocol import (
    SLOTS,
    BootLoader,
    LoaderFailed,
    LoaderState,
    Room,
    Slot,
    SlotFailed,
    SlotStore,
    Written,
)
from effects.slots.twin import NothingLoads, SlotDisk, TwinLoader, TwinSlots
from image import boot
from image.commands import command
from tests.support.loading import turn

BOTH = ("twin", "real")
ARMED = LoaderState("slot_a", "slot_b", update=2**63 - 1, window_s=86_400, tried=2**63 - 2, refused=2**63 - 3)


async def at_once(point: str) -> None:
    pass


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for one in data:
        yield one


@pytest.fixture(scope="module")
def esp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("esp") / "esp.img"
    boot.esp(place, 64 << 20, "", "12345678", 0)
    return place


@pytest.fixture(params=BOTH)
def loader(request: pytest.FixtureRequest, esp: Path) -> BootLoader:
    if request.param == "twin":
        return TwinLoader(SlotDisk(), at_once)
    boot_loader = GrubLoader(esp)
    asyncio.run(boot_loader.write(LoaderState()))
    return boot_loader


@pytest.fixture(params=BOTH)
def slots(request: pytest.FixtureRequest, tmp_path: Path) -> SlotStore:
    if request.param == "twin":
        return TwinSlots(SlotDisk(Room(4_096, 8_192)), at_once)
    places: dict[tuple[Slot, str], Path] = {}
    for slot in ("slot_a", "slot_b"):
        for member, size in (("boot.img", 4_096), ("root.img", 8_192)):
            places[slot, member] = tmp_path / f"{slot}.{member}"
            places[slot, member].write_bytes(bytes(size))
    return Partitions(places)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def awaited() -> Any:
        return await work()

    return asyncio.run(awaited())


# --- the boot loader -----------------------------------------------------------------------------------------------


def test_variables_are_read_as_they_were_written(loader: BootLoader) -> None:
    assert run(loader.read) == LoaderState()
    for state in (ARMED, LoaderState("slot_b"), LoaderState("slot_a", "slot_b", 7, 900)):
        run(lambda state=state: loader.write(state))  # type: ignore[misc]
        assert run(loader.read) == state


def test_the_boot_loaders_own_tool_reads_what_is_written(esp: Path, tmp_path: Path) -> None:
    run(lambda: GrubLoader(esp).write(ARMED))
    command("mcopy", "-n", "-o", "-i", esp, "::capsule/grubenv", tmp_path / "grubenv")
    listed = command("grub-editenv", tmp_path / "grubenv", "list").decode().split()
    assert {"default_slot=slot_a", "next_slot=slot_b", f"update={2**63 - 1}", "window_s=86400"} <= set(listed)
    command("grub-editenv", tmp_path / "grubenv", "set", "next_slot=", f"tried={2**63 - 1}")
    found = decode((tmp_path / "grubenv").read_bytes())
    assert (found.next_slot, found.tried, found.default_slot) == (None, 2**63 - 1, "slot_a")


def test_nothing_on_the_partition_changes_but_one_sector(esp: Path) -> None:
    run(lambda: GrubLoader(esp).write(LoaderState()))
    before = esp.read_bytes()
    run(lambda: GrubLoader(esp).write(ARMED))
    after = esp.read_bytes()
    (place,) = [
        at
        for at in range(0, len(before), SECTOR_BYTES)
        if before[at : at + SECTOR_BYTES] != after[at : at + SECTOR_BYTES]
    ]
    assert after[place:].startswith(HEAD)


@pytest.mark.parametrize("harm", [bytes(BLOCK_BYTES), b"x" * BLOCK_BYTES, encode(ARMED)[:512] + bytes(512)])
def test_what_cannot_be_read_is_the_built_in_default_and_is_mended_by_the_next_write(esp: Path, harm: bytes) -> None:
    loader = GrubLoader(esp)
    with esp.open("r+b") as disk:
        (first, second) = locate(lambda at, size: (disk.seek(at), disk.read(size))[1], FILE)
        for extent, half in ((first, harm[:512]), (second, harm[512:])):
            disk.seek(extent.offset)
            disk.write(half)
    found = run(loader.read)
    assert found.damaged is (not harm.startswith(HEAD)) and found.default_slot == "slot_a"
    run(lambda: loader.write(ARMED))
    assert run(loader.read) == ARMED
    with esp.open("rb") as disk:
        disk.seek(second.offset)
        assert disk.read(512) == FILLING


def test_a_partition_without_the_variables_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(bytes(1 << 20))
    with pytest.raises(LoaderFailed, match="no FAT32 file system"):
        run(GrubLoader(tmp_path / "empty").read)
    with pytest.raises(LoaderFailed, match="cannot be opened"):
        run(GrubLoader(tmp_path / "absent").read)
    with (tmp_path / "bare").open("wb") as made:
        made.truncate(64 << 20)
    command("mkfs.vfat", "-F", "32", tmp_path / "bare")
    with pytest.raises(LoaderFailed, match="there is no capsule"):
        run(lambda: GrubLoader(tmp_path / "bare").write(ARMED))


def test_a_file_is_found_wherever_its_clusters_are(esp: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    (tmp_path / "file").write_bytes(content)
    copied = tmp_path / "copy.img"
    copied.write_bytes(esp.read_bytes())
    command("mcopy", "-i", copied, tmp_path / "file", "::capsule/file.bin")
    with copied.open("rb") as disk:

        def read(at: int, size: int) -> bytes:
            disk.seek(at)
            return disk.read(size)

        extents = locate(read, "capsule/file.bin")
        assert b"".join(read(one.offset, one.size) for one in extents) == content
        for path in ("capsule", "capsule/none", "capsule/file.bin/x"):
            with pytest.raises(NotFound):
                locate(read, path)


FAULTS = [(writes, slots) for writes in (True, False) for slots in ((), ("slot_a",), ("slot_b",), SLOTS)]


@pytest.mark.parametrize(("writes", "unloaded"), FAULTS)
def test_the_twin_chooses_as_the_boot_loader_does(writes: bool, unloaded: tuple[str, ...]) -> None:
    for default, following in itertools.product(SLOTS, (None, *SLOTS)):
        before = LoaderState(default, following, 7, 900, tried=6, refused=6)
        disk = SlotDisk()
        disk.state, disk.firmware_writes, disk.loads = before, writes, lambda slot: slot not in unloaded
        variables = {"default_slot": default, "next_slot": following or "", "update": "7", "window_s": "900"}
        real = turn(variables, writes=writes, unloaded=unloaded)
        try:
            slot, by_itself, update, window_s = disk.boot()
        except NothingLoads:
            assert not real.words
        else:
            words = {"capsule.slot": slot, "capsule.default": by_itself}
            trial = {"capsule.update": str(update), "capsule.window": str(window_s)} if update else {}
            root = {"capsule.root": f"PARTUUID=id-of-(hd0,gpt{5 if slot == 'slot_b' else 3})"}
            assert real.words == words | trial | root, (default, following)
        after = LoaderState(
            default,
            None if "next_slot" in real.saved else following,
            7,
            900,
            tried=int(real.saved.get("tried", "6")),
            refused=int(real.saved.get("refused", "6") or 0),
        )
        assert disk.state == after, (default, following)


def test_where_the_firmware_cannot_write_nothing_is_booted_once_and_the_machine_boots() -> None:
    found = turn({"default_slot": "slot_a", "next_slot": "slot_b", "update": "7", "window_s": "900"}, writes=False)
    assert found.words["capsule.slot"] == "slot_a" and "capsule.update" not in found.words and not found.saved


def test_a_slot_whose_root_is_not_found_is_not_booted_with_another_ones() -> None:
    one_shot = {"default_slot": "slot_a", "next_slot": "slot_b", "update": "7", "window_s": "900"}
    found = turn(one_shot, unread=("slot_b",))
    assert (found.words["capsule.slot"], found.saved["refused"]) == ("slot_a", "7")
    assert "capsule.update" not in found.words
    assert turn({"default_slot": "slot_a"}, unread=("slot_a",)).words["capsule.slot"] == "slot_b"


# --- slots -----------------------------------------------------------------------------------------------------------


def test_a_slot_holds_what_was_written_and_the_other_one_nothing_of_it(slots: SlotStore) -> None:
    assert run(lambda: slots.room("slot_b")) == Room(4_096, 8_192)
    told = hashlib.sha256(b"new" * 900 + b"er" * 50).hexdigest()
    assert run(lambda: slots.write("slot_b", "root.img", pieces(b"new" * 900, b"", b"er" * 50))) == Written(2_800, told)
    assert run(lambda: slots.read_back("slot_b", "root.img", 2_800)) == told
    assert run(lambda: slots.write("slot_b", "root.img", pieces(b"x"))).size_bytes == 1
    assert run(lambda: slots.read_back("slot_b", "root.img", 1)) == hashlib.sha256(b"x").hexdigest()


def test_what_does_not_fit_is_refused(slots: SlotStore) -> None:
    with pytest.raises(SlotFailed, match="is larger than"):
        run(lambda: slots.write("slot_a", "boot.img", pieces(bytes(4_000), bytes(97))))
    assert run(lambda: slots.write("slot_a", "boot.img", pieces(bytes(4_096)))).size_bytes == 4_096


def test_more_than_there_is_cannot_be_read_back(slots: SlotStore) -> None:
    run(lambda: slots.write("slot_a", "boot.img", pieces(b"x")))
    with pytest.raises(SlotFailed, match="ends after"):
        run(lambda: slots.read_back("slot_a", "boot.img", 4_097))


def test_a_stream_that_breaks_off_is_told(slots: SlotStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError):
        run(lambda: slots.write("slot_b", "boot.img", broken()))


def test_what_is_written_in_stretches_is_read_from_the_disk_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, begins = os.pread, list[int]()

    def pread(fd: int, size: int, place: int) -> bytes:
        begins.append(place)
        return read(fd, size, place)

    monkeypatch.setattr(os, "pread", pread)
    place, image = tmp_path / "root", os.urandom(2 * STRETCH_BYTES + 4_321)
    place.write_bytes(bytes(3 * STRETCH_BYTES))
    slots = Partitions({("slot_a", "root.img"): place})
    cut = [image[at : at + 999_999] for at in range(0, len(image), 999_999)]
    written = run(lambda: slots.write("slot_a", "root.img", pieces(*cut)))
    assert written == Written(len(image), hashlib.sha256(image).hexdigest())
    assert place.read_bytes()[: len(image)] == image
    assert begins == list(range(0, len(image), PIECE_BYTES)), "no page is read while half of it is still written"


@pytest.mark.parametrize("at", [0, STRETCH_BYTES, 2 * STRETCH_BYTES])
def test_a_disk_that_has_something_else_than_was_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    place = tmp_path / "root"
    place.write_bytes(bytes(3 * STRETCH_BYTES))
    slots, read = Partitions({("slot_a", "root.img"): place}), os.pread

    def pread(fd: int, size: int, place: int) -> bytes:
        found = read(fd, size, place)
        return b"y" + found[1:] if place == at else found

    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(SlotFailed, match="something else is there: the disk is failing"):
        run(lambda: slots.write("slot_a", "root.img", pieces(*[b"x" * (1 << 20)] * (3 * STRETCH_BYTES >> 20))))


def test_a_disk_that_fails_under_a_stretch_ends_the_push_before_the_last_byte_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, sent = tmp_path / "root", list[int]()
    place.write_bytes(bytes(5 * STRETCH_BYTES))
    slots = Partitions({("slot_a", "root.img"): place})

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(1 << 20)
            yield bytes(1 << 20)

    def fsync(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(SlotFailed, match="cannot be written: Input/output error"):
            run(lambda: slots.write("slot_a", "root.img", endless()))
    assert STRETCH_BYTES <= sum(sent) <= 3 * STRETCH_BYTES


def test_who_is_cancelled_while_the_last_stretch_is_read_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "root"
    place.write_bytes(bytes(2 * STRETCH_BYTES))
    slots = Partitions({("slot_a", "root.img"): place})
    begun, goes_on = threading.Event(), threading.Event()

    def fsync(fd: int) -> None:
        begun.set()
        goes_on.wait(10)

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(STRETCH_BYTES)
        raise ConnectionError("cut")

    async def main() -> None:
        push = asyncio.ensure_future(slots.write("slot_a", "root.img", broken()))
        await asyncio.to_thread(begun.wait, 10)
        push.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await push

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        asyncio.run(main())
    assert place not in {one.resolve() for one in Path("/proc/self/fd").iterdir() if one.exists()}


def test_a_push_that_is_cancelled_lets_go_of_the_partition_only_when_nothing_is_written_to_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread goes on: the number of a descriptor that was closed meanwhile is another file's."""
    place, order = tmp_path / "root", list[str]()
    place.write_bytes(bytes(4_096))
    begun, goes_on = threading.Event(), threading.Event()
    written, closed = os.pwrite, os.close

    def pwrite(fd: int, data: bytes, at: int) -> int:
        begun.set()
        goes_on.wait(10)
        order.append("written")
        return written(fd, data, at)

    def close(fd: int) -> None:
        order.append("closed")
        closed(fd)

    async def main() -> None:
        slots = Partitions({("slot_a", "root.img"): place})
        push = asyncio.ensure_future(slots.write("slot_a", "root.img", pieces(b"new")))
        await asyncio.to_thread(begun.wait, 10)
        patched.setattr(os, "close", close)
        push.cancel()
        for _ in range(9):
            await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await push

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", pwrite)
        asyncio.run(main())
    assert order[:2] == ["written", "closed"]


def test_what_an_earlier_system_left_behind_its_boot_image_is_wiped(tmp_path: Path) -> None:
    place = tmp_path / "boot"
    place.write_bytes(b"x" * 4_096)
    slots = Partitions({("slot_a", "boot.img"): place, ("slot_a", "root.img"): place}, kept_bytes=1_024)
    assert run(lambda: slots.room("slot_a")).boot_bytes == 3_072
    run(lambda: slots.write("slot_a", "boot.img", pieces(b"new")))
    assert place.read_bytes() == b"new" + b"x" * 3_069 + bytes(1_024)
    with pytest.raises(SlotFailed, match="is larger than"):
        run(lambda: slots.write("slot_a", "boot.img", pieces(bytes(3_073))))

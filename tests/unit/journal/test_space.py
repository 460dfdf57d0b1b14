"""The journal's own space: an entry is promised only where its blocks are the journal's already."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from journal import space as module
from journal.space import AHEAD_BYTES, COMMIT_BYTES, EXTENT_TREE_BYTES, RESERVE_BYTES, Space

MIB = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(b"")
    return path


class Disk:
    """fallocate on a disk with so many bytes left."""

    def __init__(self, limit: int, code: int = errno.ENOSPC) -> None:
        self.limit, self.code, self.asked = limit, code, [0]

    def fallocate(self, fd: int, mode: int, offset: int, length: int) -> int:
        self.asked.append(length)
        if length <= self.limit:
            return 0
        import ctypes

        ctypes.set_errno(self.code)
        return -1


def on(disk: Disk, file: Path, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Space:
    monkeypatch.setattr(module, "_libc", disk)
    return Space(file, **({"ahead_bytes": 4 * MIB, "reserve_bytes": 2 * MIB} | fields))


def test_blocks_are_taken_ahead_and_with_a_reserve(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(1 << 40)
    space = on(disk, file, monkeypatch)
    assert space.extend(10 * MIB)
    assert disk.asked[-1] == space.granted == 16 * MIB
    space.close()


def test_the_disk_is_asked_only_when_half_of_what_was_taken_is_used(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(1 << 40)
    space = on(disk, file, monkeypatch)
    space.extend(0)
    asked = len(disk.asked)
    for used in range(0, 2 * MIB, 64 << 10):
        assert space.extend(used)
    assert len(disk.asked) == asked
    assert space.extend(3 * MIB) and len(disk.asked) == asked + 1
    space.close()


def test_a_disk_that_gives_no_more_says_why_while_the_reserve_is_still_there(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = on(Disk(20 * MIB), file, monkeypatch, ahead_bytes=AHEAD_BYTES, reserve_bytes=RESERVE_BYTES)
    assert space.extend(0)
    granted = space.granted
    # What was granted still holds some ordinary entries, then only the reserve's, then none.
    assert space.extend(granted - RESERVE_BYTES - 2 * COMMIT_BYTES)
    assert "No space left" in space.reason
    assert not space.extend(granted - RESERVE_BYTES - 2 * COMMIT_BYTES + 1)
    assert space.has_reserve(granted - 2 * COMMIT_BYTES)
    assert not space.has_reserve(granted - 2 * COMMIT_BYTES + 1)
    space.close()


def test_the_part_for_what_helps_is_large_enough_to_cut_history(file: Path) -> None:
    space = Space(file, reserve_bytes=4 * MIB)
    assert (space.reserve_bytes, space.vital_bytes) == (4 * MIB, 2 * MIB)
    space.state_bytes = 5 * MIB  # written whole, and once more counted for pages that are copied
    assert (space.reserve_bytes, space.vital_bytes) == (14 * MIB, 12 * MIB)
    space.close()


def test_space_that_comes_back_is_taken_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(20 * MIB)
    space = on(disk, file, monkeypatch)
    space.extend(13 * MIB)
    assert not space.extend(19 * MIB)
    disk.limit = 1 << 40
    assert space.extend(19 * MIB) and space.reason == ""
    space.close()


def test_what_an_earlier_life_was_given_still_counts(file: Path) -> None:
    space = Space(file, ahead_bytes=4 * MIB, reserve_bytes=MIB)
    assert space.granted == 0 and space.extend(0)
    space.close()
    space = Space(file, ahead_bytes=4 * MIB, reserve_bytes=MIB)
    # Less what the file system may count in for its own trees.
    assert space.granted >= 5 * MIB - EXTENT_TREE_BYTES
    space.close()
    assert file.stat().st_size == 0, "the size stays: LMDB must not see blocks it did not write"


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_nothing_can_be_taken_ahead_what_is_free_must_do(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    space = on(Disk(0, code), file, monkeypatch)
    free = os.statvfs(file)
    assert space.extend(0) and space.granted == 6 * MIB
    assert not space.extend(free.f_bavail * free.f_frsize * 2 + space.granted) or space.granted > 0
    huge = on(Disk(0, code), file, monkeypatch, ahead_bytes=1 << 60)
    assert not huge.extend(0) and "No space left" in huge.reason
    space.close()
    huge.close()


def test_the_room_is_what_the_file_has_and_what_the_disk_has_left_for_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Space(file, ahead_bytes=4 * MIB, reserve_bytes=2 * MIB)
    assert space.extend(0)
    taken = file.stat().st_blocks * 512
    disk = os.statvfs(file)
    left = os.statvfs_result((*disk[:2], disk.f_blocks, disk.f_bfree, 100 * MIB // disk.f_frsize, *disk[5:]))
    monkeypatch.setattr(os, "fstatvfs", lambda fd: left)
    kept = (2 + 2) * MIB + 2 * COMMIT_BYTES + EXTENT_TREE_BYTES
    size = taken + 100 * MIB // disk.f_frsize * disk.f_frsize - kept
    assert space.room(0) == (size, size)
    assert space.room(10 * MIB) == (size, size - 10 * MIB)
    assert space.room(size + 1) == (size, 0), "in the reserve"
    space.close()


def test_what_was_taken_ahead_can_be_given_back_and_nothing_that_is_written_with_it(file: Path) -> None:
    file.write_bytes(b"a page" * 1_000)
    space = Space(file)
    assert space.extend(0)
    taken = file.stat().st_blocks
    space.give_back()
    assert file.read_bytes() == b"a page" * 1_000
    assert file.stat().st_blocks < taken - 1_000 and not space.has_reserve(0)
    space.close()

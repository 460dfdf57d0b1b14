"""What the boot tests' power cut leaves of a disk: everything up to the last flush, and of the rest any part."""

import struct
from pathlib import Path

from tests.support.lost_power import Cut, cut
from tests.support.power.disk_log import SECTOR_BYTES as SECTOR

WRITE, FLUSH, FUA, DISCARD = 0, 1, 2, 4


def log_of(*entries: tuple[int, int, bytes]) -> bytes:
    """Of (flags, sector, bytes), in the kernel's form; a discard's bytes say how long it is."""
    said = struct.pack("<QQQI", 0x6A736677736872, 1, len(entries), SECTOR).ljust(SECTOR, b"\0")
    for flags, sector, data in entries:
        said += struct.pack("<QQQQ", sector, len(data) // SECTOR, flags, 0).ljust(SECTOR, b"\0")
        said += b"" if flags == DISCARD else data
    return said


def test_what_was_flushed_is_there_and_of_the_rest_a_part(tmp_path: Path) -> None:
    first, second, long = b"a" * SECTOR, b"b" * SECTOR, b"c" * 4 * SECTOR
    entries = ((WRITE, 0, first), (FLUSH, 0, b""), (DISCARD, 0, first), (WRITE, 1, second), (WRITE, 2, long))
    (tmp_path / "log").write_bytes(log_of(*entries) + b"\0" * 3 * SECTOR)
    seen = set()
    for seed in range(60):
        (tmp_path / "disk").write_bytes(bytes(6 * SECTOR))
        found = cut(tmp_path / "disk", tmp_path / "log", seed)
        left = (tmp_path / "disk").read_bytes()
        assert left[:SECTOR] == first
        assert left[SECTOR : 2 * SECTOR] in (second, bytes(SECTOR))
        assert left[2 * SECTOR :] in (long, bytes(4 * SECTOR), long[:SECTOR] + bytes(3 * SECTOR))
        assert found == Cut(2, (left[SECTOR : 2 * SECTOR] != second) + (left[2 * SECTOR :] != long))
        seen.add(left)
    assert len(seen) == 6


def test_without_a_flush_only_what_was_forced_is_sure(tmp_path: Path) -> None:
    first, forced = b"a" * SECTOR, b"b" * SECTOR
    whole = log_of((WRITE, 0, first), (FUA, 1, forced), (WRITE, 2, first))
    (tmp_path / "log").write_bytes(whole[:-1])
    seen = set()
    for seed in range(20):
        (tmp_path / "disk").write_bytes(bytes(3 * SECTOR))
        found = cut(tmp_path / "disk", tmp_path / "log", seed)
        left = (tmp_path / "disk").read_bytes()
        assert left[SECTOR:] == forced + bytes(SECTOR), "the last write is not whole in the log"
        assert found == Cut(1, left[:SECTOR] != first)
        seen.add(left[:SECTOR])
    assert seen == {first, bytes(SECTOR)}

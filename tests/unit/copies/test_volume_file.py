"""A volume's file: what goes in comes out, and whatever was done to the file in between is found before its end."""

import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copies.volume_file import MAGIC, PIECE_BYTES_MAX, BadVolumeFile, Title, Unpacking, packed

SIZE = 1 << 24
TITLE = Title("data", SIZE, 3_000, 1_700_000_000_000_000_000, "0.0.1")
PIECES = ((0, b"first" * 100), (4_096, bytes(range(256)) * 8), (SIZE - 3, b"end"))


class Disk:
    """A sparse disk."""

    def __init__(self) -> None:
        self.found: list[tuple[int, bytes]] = []

    def write(self, offset: int, content: bytes) -> None:
        self.found.append((offset, content))


def unpacked(content: bytes, step: int = 0) -> tuple[Title | None, list[tuple[int, bytes]]]:
    unpacking, disk, placed = Unpacking(), Disk(), False
    step = step or len(content) or 1
    for at in range(0, len(content), step):
        unpacking.feed(content[at : at + step])
        if not placed and unpacking.title is not None:
            placed = True
            unpacking.into(disk)
    unpacking.finish()
    return unpacking.title, disk.found


WHOLE = b"".join(packed(TITLE, PIECES))


@pytest.mark.parametrize("step", [0, 1, 7, 1_000])
def test_what_was_packed_comes_out_however_it_is_cut_on_the_way(step: int) -> None:
    assert unpacked(WHOLE, step) == (TITLE, list(PIECES))


def test_an_empty_volume_has_a_file_too() -> None:
    assert unpacked(b"".join(packed(TITLE, ()))) == (TITLE, [])


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_byte_that_is_another_is_found_if_it_means_anything(at: int, change: int) -> None:
    altered = WHOLE[:at] + bytes([WHOLE[at] ^ change]) + WHOLE[at + 1 :]
    try:
        title, found = unpacked(altered)
    except BadVolumeFile:
        return
    assert (title, found) == (TITLE, list(PIECES)), "a bit that means nothing"


@given(st.integers(0, len(WHOLE) - 1))
@settings(max_examples=200, deadline=None)
def test_a_file_that_was_cut_is_no_whole_one(at: int) -> None:
    with pytest.raises(BadVolumeFile):
        unpacked(WHOLE[:at])


def test_a_file_ends_where_it_ends() -> None:
    with pytest.raises(BadVolumeFile, match="goes on behind its end"):
        unpacked(WHOLE + b"more")


def forged(records: bytes, title: bytes = b"") -> bytes:
    line = title or json.dumps(TITLE._asdict()).encode()
    return MAGIC + line + b"\n" + zlib.compress(records)


def record(offset: int, content: bytes, length: int | None = None) -> bytes:
    return offset.to_bytes(8, "big") + (len(content) if length is None else length).to_bytes(4, "big") + content


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (record(SIZE - 2, b"end"), "outside the volume"),
        (record(SIZE + 10, b"x"), "outside the volume"),
        (record(10, b"x") + record(10, b"y"), "in another's place"),
        (record(0, b"", PIECE_BYTES_MAX + 1), "inside a record"),
        (record((1 << 64) - 1, b"{}"), "checksum is wrong"),
        (record((1 << 64) - 1, b"[" * 5_000), "checksum is wrong"),
        (record(0, b"x"), "its end is missing"),
        (b"", "its end is missing"),
    ],
)
def test_what_no_release_writes_is_refused(records: bytes, why: str) -> None:
    with pytest.raises(BadVolumeFile, match=why):
        unpacked(forged(records))


@pytest.mark.parametrize("line", [b"{}", b"[]", b"\xff", b'{"name": 1}', b"[" * 3_000])
def test_a_title_that_says_nothing_is_none(line: bytes) -> None:
    with pytest.raises(BadVolumeFile, match="title cannot be read"):
        unpacked(forged(b"", line))


def test_a_title_without_an_end_is_not_waited_for() -> None:
    with pytest.raises(BadVolumeFile, match="has no end"):
        unpacked(MAGIC + b"x" * 100_000, 1_000)


def test_what_is_no_such_file_is_said_at_its_first_bytes() -> None:
    with pytest.raises(BadVolumeFile, match="no volume's file"):
        Unpacking().feed(b"caps\x00")

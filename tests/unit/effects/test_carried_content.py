"""What is carried of a volume: all that is not zeroes, and never less than there was."""

import os
from pathlib import Path

import pytest

from effects.volumes import files
from effects.volumes.files import PIECE_BYTES


def test_what_is_written_where_it_was_read_is_the_same_without_the_zeroes(tmp_path: Path) -> None:
    content = b"a" * PIECE_BYTES + bytes(2 * PIECE_BYTES) + b"\0b"
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    target.write_bytes(bytes(len(content)))
    old, new = os.open(source, os.O_RDONLY), os.open(target, os.O_WRONLY)
    try:
        pieces = list(files.data(old, 0, len(content)))
        for offset, piece in pieces:
            files.write(new, offset, piece)
    finally:
        os.close(old)
        os.close(new)
    assert [offset for offset, _ in pieces] == [0, 3 * PIECE_BYTES] and target.read_bytes() == content


def test_one_that_ends_before_its_end_is_no_volume(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"a" * 10)
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="shorter"):
            list(files.data(fd, 0, PIECE_BYTES))
    finally:
        os.close(fd)

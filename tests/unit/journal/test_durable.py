"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from journal.durable import write_durably

CONTENT = bytes(range(256)) * 40


def test_a_disk_that_takes_little_at_a_time_gets_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: write(fd, bytes(content)[:1_000]))
    write_durably(tmp_path / "file", CONTENT)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600 and len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_fills_on_the_way_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_durably(tmp_path / "file", b"before")
    write = os.write

    def full(fd: int, content: bytes) -> int:
        if len(content) < len(CONTENT):
            raise OSError(28, "No space left on device")
        return write(fd, bytes(content)[:1_000])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(tmp_path / "file", CONTENT)
    assert (tmp_path / "file").read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_nothing_is_a_content_too(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"")
    assert (tmp_path / "file").read_bytes() == b""

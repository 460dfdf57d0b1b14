"""The head beside the environment: some true former head, or nothing that could be believed."""

import os
from pathlib import Path

import pytest

from journal.head import Head, HeadFile, read_head

HEAD = Head(41, bytes(range(32)))


def written(path: Path, *heads: Head) -> bytes:
    file = HeadFile(path)
    for head in heads:
        file.write(head)
    file.close()
    return path.read_bytes()


def test_the_newest_head_is_read_back(tmp_path: Path) -> None:
    written(tmp_path / "head", Head(1, bytes(32)), HEAD)
    assert read_head(tmp_path / "head") == HEAD
    assert (tmp_path / "head").stat().st_mode & 0o777 == 0o600


def test_a_head_survives_the_next_life_until_it_writes_its_own(tmp_path: Path) -> None:
    written(tmp_path / "head", HEAD)
    HeadFile(tmp_path / "head").close()
    assert read_head(tmp_path / "head") == HEAD


def test_no_file_proves_nothing(tmp_path: Path) -> None:
    assert read_head(tmp_path / "head") is None
    HeadFile(tmp_path / "head").close()
    assert read_head(tmp_path / "head") is None


def test_no_torn_or_altered_head_is_believed(tmp_path: Path) -> None:
    whole = written(tmp_path / "head", HEAD)
    for at in range(len(whole)):
        (tmp_path / "head").write_bytes(whole[:at])
        assert read_head(tmp_path / "head") is None, f"cut at {at}"
        altered = bytearray(whole)
        altered[at] ^= 1
        (tmp_path / "head").write_bytes(bytes(altered))
        assert read_head(tmp_path / "head") is None, f"altered at {at}"


def test_a_disk_that_refuses_costs_only_the_witness(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "head")
    os.close(os.open(tmp_path / "head", os.O_RDONLY))
    if not os.path.exists("/dev/full"):
        pytest.skip("this machine lacks /dev/full")
    full = HeadFile(Path("/dev/full"))
    full.write(HEAD)
    full.close()
    file.close()

"""What is renamed into place where it can be, and carried over where another file system is mounted there."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from copies.opening import Guarded, Plain
from copies.settling import Settler
from copies.staging import set_facts
from tests.support.trees import directory, facts, left_aside
from tests.support.watched import watched_pipe

HOLE_BYTES = 1 << 30


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system: one in memory, which nothing has to be mounted for."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        assert os.stat(made).st_dev != tmp_path.stat().st_dev
        yield Path(made)


def settle(staged: Path, target: Path) -> None:
    here, there = directory(str(staged)), directory(str(target))
    try:
        Settler(False, Plain(), {}).settle(here, there, str(target))
    finally:
        os.close(here)
        os.close(there)


def test_a_tree_arrives_whole_on_another_file_system(tmp_path: Path, elsewhere: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").write_bytes(os.urandom(3 << 20))
    (tree / "below" / "file").chmod(0o750)
    (tree / "empty").touch()
    os.symlink("below/file", tree / "link")
    there = facts(tmp_path, times=True)
    settle(tmp_path, elsewhere)
    assert facts(elsewhere, times=True) == there
    assert left_aside(os.listdir(elsewhere)) == []


def test_holes_stay_holes_on_another_file_system(tmp_path: Path, elsewhere: Path) -> None:
    with open(tmp_path / "sparse", "wb") as out:
        out.write(b"begin")
        out.seek(HOLE_BYTES)
        out.write(b"middle")
        out.truncate(2 * HOLE_BYTES)
    settle(tmp_path, elsewhere)
    found = (elsewhere / "sparse").stat()
    assert found.st_size == 2 * HOLE_BYTES
    assert found.st_blocks * 512 < 1 << 20
    with open(elsewhere / "sparse", "rb") as made:
        assert made.read(6) == b"begin\0"
        made.seek(HOLE_BYTES)
        assert made.read(7) == b"middle\0"


def test_what_was_swapped_for_something_else_is_not_opened(tmp_path: Path) -> None:
    """A workload sees what is carried over while it is, and could put a device in its place."""
    (tmp_path / "file").touch()
    parent, descriptors = directory(str(tmp_path)), os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY)
    try:
        with watched_pipe(tmp_path / "swapped") as was_opened:
            for opening in (Plain(), Guarded(descriptors)):
                with pytest.raises(OSError, match="something else in its place"):
                    set_facts(parent, "swapped", (tmp_path / "file").stat(), False, opening)
            assert not was_opened()
    finally:
        os.close(parent)
        os.close(descriptors)

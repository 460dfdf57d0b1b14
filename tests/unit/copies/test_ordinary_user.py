"""Who is nobody in particular copies too: directories that shut out their owner have their place, their mode and their
time, and of those that do not come to it nothing stays."""

import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from copies.errors import CopyError
from tests.support.trees import facts, member, tar, unpack

DIR = tarfile.DIRTYPE
NOBODY = 65534
CLOSED = tar(
    member("top", DIR, mode=0o555, mtime=1_000),
    member("top/file", content=b"read me", mode=0o444),
    member("top/shut", DIR, mode=0o000, mtime=2_000),
    member("top/shut/within", content=b"out of sight"),
    member("top/open", DIR, mode=0o750, mtime=3_000),
)
MODES = {"top": 0o555, "top/file": 0o444, "top/shut": 0o000, "top/shut/within": 0o644, "top/open": 0o750}


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that anybody reaches: the test's own is its user's alone."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        if os.geteuid() == 0:
            os.chown(made, NOBODY, NOBODY)
        yield Path(made)
        for directory, below, _ in os.walk(made):
            for name in below:
                os.chmod(os.path.join(directory, name), 0o700)


@contextmanager
def ordinary() -> Iterator[None]:
    """Without root's powers over files, if we have them."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def modes(place: Path) -> dict[str, int]:
    return {name: mode for name, (_, mode, *_) in facts(place).items()}


@pytest.mark.skipif(os.geteuid() != 0, reason="looks behind directories that shut out their owner: needs root")
def test_directories_that_shut_out_their_owner_arrive(place: Path) -> None:
    with ordinary():
        unpack(CLOSED, str(place))
        unpack(CLOSED, f"{place}/new/", only="top", inner=True)
    assert modes(place) == MODES | {"new": 0o755 & ~_umask()} | {
        name.replace("top", "new", 1): mode for name, mode in MODES.items() if name != "top"
    }
    found = facts(place, times=True)
    assert [found[name][2] for name in ("top", "top/shut", "top/open")] == [1_000, 2_000, 3_000]


def test_nothing_of_them_stays_where_they_are_not_meant(place: Path) -> None:
    with ordinary():
        with pytest.raises(CopyError):
            unpack(CLOSED, str(place), meant=lambda: False)
        with pytest.raises(CopyError):
            unpack(CLOSED.rstrip(b"\0"), str(place))
        assert os.listdir(place) == []


def test_one_that_exists_stays_what_it_is(place: Path) -> None:
    with ordinary():
        os.makedirs(place / "top" / "open", mode=0o700)
        unpack(CLOSED, str(place))
        assert stat.S_IMODE((place / "top").stat().st_mode) == 0o777 & ~_umask()
        assert stat.S_IMODE((place / "top" / "shut").stat().st_mode) == 0o000


def _umask() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))

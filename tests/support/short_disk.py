"""A disk that gives the journal so much and no more."""

import ctypes
import errno
from pathlib import Path

import pytest

from journal import space
from journal.environment import Environment
from journal.space import Space
from journal.writer import Journal
from tests.support.clock import HandClock

MIB = 1 << 20


class Disk:
    """fallocate on it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def fallocate(self, fd: int, mode: int, offset: int, length: int) -> int:
        if length <= self.limit:
            return 0
        ctypes.set_errno(errno.ENOSPC)
        return -1


def disk_of(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on there is no other."""
    monkeypatch.setattr(space, "_libc", Disk(limit))


def on_short_disk(directory: Path, ahead_bytes: int = MIB, reserve_bytes: int = MIB) -> Journal:
    environment = Environment(directory)
    return Journal(environment, HandClock(), space=Space(directory / "data.mdb", ahead_bytes, reserve_bytes))

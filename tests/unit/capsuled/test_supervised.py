"""A process that is kept running: how it ended is said with the last thing that it wrote."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest

from capsuled.processes import supervise

WRITES_ONCE = "test -e {done} || echo 'cannot listen: in use' >&2; touch {done}; exit 3"
LOSES_ITS_FILE = "echo first; rm {log}; exit 4"
TELLS_ITS_UMASK = "umask; exit 6"
BEGINS = """
import os, sys
from capsuled.__main__ import main
sys.argv = ["capsuled", "--version"]
try:
    main()
finally:
    print(oct(os.umask(0)))
"""
CUTS_ITS_FILE = ": >{log}; echo cut >&2; exit 5"


class Listener(logging.Handler):
    """Ends what it listens to once it has heard two messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.child: asyncio.Future[None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if len(self.messages) == 2 and self.child is not None:
            self.child.cancel()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def closed() -> Iterator[None]:
    """Whoever started us shuts out everybody else."""
    before = os.umask(0o077)  # noqa: TID251 - nothing else runs meanwhile
    yield
    os.umask(before)  # noqa: TID251


def heard(listener: Listener, command: str, log_file: Path) -> list[str]:
    """What is said of it until it has ended twice."""

    async def until_it_ended_twice() -> None:
        listener.child = asyncio.ensure_future(supervise(["sh", "-c", command], log_file))
        with contextlib.suppress(asyncio.CancelledError):
            await listener.child

    log_file.write_text("of a run long before\n")
    log = logging.getLogger("capsuled.processes")
    log.addHandler(listener)
    try:
        asyncio.run(until_it_ended_twice())
    finally:
        log.removeHandler(listener)
    return listener.messages


def test_its_last_words_are_told_once(tmp_path: Path, listener: Listener) -> None:
    assert heard(listener, WRITES_ONCE.format(done=quote(str(tmp_path / "done"))), tmp_path / "child.log") == [
        "sh ended with 3 (cannot listen: in use); started again in 0.05 s",
        "sh ended with 3; started again in 0.10 s",
    ]


def test_it_is_started_again_though_its_file_is_gone_or_was_cut(tmp_path: Path, listener: Listener) -> None:
    log_file = tmp_path / "child.log"
    loses, cuts = (script.format(log=quote(str(log_file))) for script in (LOSES_ITS_FILE, CUTS_ITS_FILE))
    assert heard(listener, loses, log_file)[0] == "sh ended with 4; started again in 0.05 s"
    again = Listener()
    assert "sh ended with 5 (cut); started again" in heard(again, cuts, log_file)[0]


@pytest.mark.usefixtures("closed")
def test_what_it_makes_can_be_reached_by_others_whatever_our_umask_is(tmp_path: Path, listener: Listener) -> None:
    assert "sh ended with 6 (0022)" in heard(listener, TELLS_ITS_UMASK, tmp_path / "child.log")[0]


@pytest.mark.usefixtures("closed")
def test_so_can_what_the_daemon_makes() -> None:
    done = subprocess.run([sys.executable, "-c", BEGINS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0o22"

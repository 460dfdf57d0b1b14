"""What becomes of an exec or a copy that no process can be had for: the reason is told, and PID 1 goes on."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from guest import beside, kernel
from guest.run import Run
from tests.support.runs_in_guests import described

ENDED = ("NOT_RUNNING", "the microVM's payload has just ended")


class Payload:
    """Its first process, and a kernel that lets nobody into the namespace of one that has ended."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "1000"])
        self.first = os.pidfd_open(self.process.pid)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def enter(self, namespace: int, kinds: int) -> None:
        if namespace == self.first and self.process.returncode is not None:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


@pytest.fixture
def payload(monkeypatch: pytest.MonkeyPatch) -> Iterator[Payload]:
    made = Payload()
    monkeypatch.setattr(kernel, "enter", made.enter)
    yield made
    made.end()
    os.close(made.first)


def told(begin: Callable[[int], int | None]) -> tuple[str, str]:
    """The reason and the words that are reported by what has no process."""
    reading, writing = os.pipe()
    try:
        assert begin(writing) is None
        reason, _, words = os.read(reading, 4_096).decode().partition("\0")
        return reason, words
    finally:
        os.close(reading)
        os.close(writing)


def executed(payload: Payload) -> tuple[str, str]:
    return told(lambda report: beside.execute(Run(described()), payload.first, {}, [report]))


def refusing(number: int, meanwhile: Callable[[], None] = lambda: None) -> Callable[[], int]:
    def fork() -> int:
        meanwhile()
        raise OSError(number, os.strerror(number))

    return fork


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_kernel_that_starts_no_further_process_is_told_as_that(
    payload: Payload, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fork", refusing(number))
    words = f"the microVM's kernel starts no further process: {os.strerror(number).lower()}. End some there first"
    assert executed(payload) == ("START_FAILED", words)
    assert told(lambda report: beside.copy(payload.first, [0, 1, report])) == ("COPY_FAILED", words)


def test_a_payload_that_has_ended_or_ends_just_then_is_told_as_that(
    payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", refusing(errno.ENOMEM, payload.end))
    assert executed(payload) == ENDED
    assert executed(payload) == ENDED, "it cannot even be entered now"


def test_who_asked_may_have_gone(payload: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", refusing(errno.EAGAIN))
    reading, writing = os.pipe()
    os.close(reading)
    assert beside.copy(payload.first, [0, 1, writing]) is None
    os.close(writing)


def test_a_child_that_nobody_hears_ends_all_the_same() -> None:
    script = """
import os
from guest import payload
reading, writing = os.pipe()
os.close(reading)
def become():
    raise OSError(2, "there is no such command")
_, status = os.waitpid(payload.fork(become, writing), 0)
print(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("127\n", "")

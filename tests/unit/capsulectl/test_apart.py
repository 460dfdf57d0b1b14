"""A signal's exception comes up where the main thread waits, and nowhere in the work that it waits for."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from capsulectl.apart import apart

WAIT_S = 20.0


class Hung(BaseException):
    """What the handler raises."""


@contextmanager
def raising() -> Iterator[None]:
    def end(number: int, frame: object) -> NoReturn:
        raise Hung

    before = signal.signal(signal.SIGHUP, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_the_work_returns_and_raises_is_had_here() -> None:
    assert apart(lambda: 42) == 42
    assert apart(lambda: None) is None
    with pytest.raises(ValueError, match="gone"):
        apart(lambda: int("gone"))
    assert apart(threading.get_ident) != threading.get_ident()


@pytest.mark.parametrize(
    "sent",
    [
        lambda: os.kill(os.getpid(), signal.SIGHUP),
        lambda: signal.pthread_kill(threading.get_ident(), signal.SIGHUP),
    ],
    ids=["to the process", "to the thread that works"],
)
def test_a_signal_is_raised_while_the_work_holds_its_locks_and_they_are_let_go_of(sent: Callable[[], None]) -> None:
    condition, raised, done = threading.Condition(), threading.Event(), threading.Event()
    told: list[bool] = []

    def work() -> None:
        with condition:
            sent()
            told.append(raised.wait(WAIT_S))
        done.set()

    with raising(), pytest.raises(Hung):
        apart(work)
    raised.set()
    assert done.wait(WAIT_S) and told == [True]
    assert condition.acquire(timeout=WAIT_S)


def test_a_signal_that_raises_nothing_is_handled_at_once_and_the_work_goes_on() -> None:
    handled = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda number, frame: handled.set())

    def work() -> bool:
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        return handled.wait(WAIT_S)

    try:
        assert apart(work)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_of_it_stays_behind() -> None:
    def open_ones() -> set[str]:
        looking = os.open("/proc/self/fd", os.O_RDONLY)
        try:
            return set(os.listdir(looking)) - {str(looking)}
        finally:
            os.close(looking)

    def some(count: int) -> None:
        """And their threads have ended, those of the tests before too: they close what is theirs a moment later."""
        for _ in range(count):
            apart(lambda: None)
        deadline = time.monotonic() + WAIT_S
        while any(one.name.endswith("(run)") for one in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    some(1)
    before = open_ones()
    some(20)
    assert open_ones() == before
    assert signal.set_wakeup_fd(-1) == -1

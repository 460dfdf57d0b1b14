"""Logs of several workloads at once: how the one end of them all is reached."""

import errno
import threading
from collections.abc import Callable

import pytest

from capsulectl.errors import Failure
from capsulectl.logs import _together

SECONDS = 5.0


def ended(copy: Callable[[str], None]) -> Exception | None:
    """What following two logs ends with."""
    found: list[Exception | None] = []

    def follow() -> None:
        try:
            _together(copy, ("one", "two"))
            found.append(None)
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert found, "it does not end"
    return found[0]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), BrokenPipeError(), KeyError("x")])
def test_whatever_ends_one_unexpectedly_ends_them_all(error: Exception) -> None:
    goes_on = threading.Event()

    def copy(name: str) -> None:
        if name == "one":
            raise error
        goes_on.wait()

    assert ended(copy) is error
    goes_on.set()


def test_a_failure_of_one_leaves_the_others_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def copy(name: str) -> None:
        if name == "one":
            raise Failure("no workload one", 3)
        done.append(name)

    error = ended(copy)
    assert isinstance(error, Failure) and error.code == 3 and done == ["two"]
    assert capsys.readouterr().err == "capsulectl: no workload one\n"

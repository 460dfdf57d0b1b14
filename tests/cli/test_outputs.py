"""Where the output cannot go, or nobody reads it, or the window is narrow: what is done is done, and no more is said than
that."""

import os
import subprocess

import pytest

from tests.support.daemon import BIN, CTL, SERVE, Daemon, manifest
from tests.support.terminal import window

pytestmark = pytest.mark.real

LINES = ("history -o json", "logs talks", "image list -o yaml", "get talks", "replay --step --to 5", "volume list")


@pytest.fixture(scope="module")
def talks(capsule: Daemon) -> Daemon:
    capsule.apply(manifest("talks", f"seq 20000; {SERVE}"), "--wait")
    capsule.until(lambda: "ready" in capsule.good("logs", "talks", "-n", "1"), "it talked")
    return capsule


def shell(capsule: Daemon, line: str) -> "subprocess.CompletedProcess[str]":
    """Run a line as an operator types it."""
    # bash has a word of its own about a locale that is not installed.
    own = {"PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", line],
        env=capsule.environment | own, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_nobody_reads_it_and_that_is_no_failure(talks: Daemon, line: str) -> None:
    done = shell(talks, f"capsulectl -q {line} | head -c 1")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", LINES)
def test_an_output_that_is_closed_is_told_as_one_that_is_full(talks: Daemon, line: str) -> None:
    done = shell(talks, f"capsulectl -q {line} >&-")
    assert (done.returncode, done.stderr) == (1, "capsulectl: the output could not be written: Bad file descriptor\n")


@pytest.mark.parametrize("line", ["wait talks", "exec talks true", "-q start talks"])
def test_who_has_nothing_to_tell_misses_no_output(talks: Daemon, line: str) -> None:
    done = shell(talks, f"capsulectl {line} >&-")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("line", "code"), [("drift talks", 0), ("volume list", 0), ("lsit", 2)])
def test_what_cannot_be_told_keeps_nothing_from_being_done(talks: Daemon, line: str, code: int) -> None:
    assert shell(talks, f"capsulectl {line} 2>/dev/full").returncode == code


def test_where_neither_can_be_written_the_exit_code_tells(talks: Daemon) -> None:
    done = shell(talks, "capsulectl list >/dev/full 2>/dev/full")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


NARROW = ("list", "list -w", "image list", "volume list", "key list", "secret list", "context list")


def test_in_a_narrow_window_no_line_of_a_table_is_wrapped_and_no_name_is_cut(talks: Daemon) -> None:
    talks.apply("name: narrow-and-long\nkind: Volume\nsize: 16MiB\n", "--wait")
    for line in NARROW:
        with window(20) as made:
            made.run([CTL, *line.split()], talks.environment, stderr=subprocess.DEVNULL)
            shown = b""
            if "-w" in line:
                shown = made.sees("talks ") + made.sees("\r\n")  # of what goes on the first lines are enough
                made.type("\x03")
            assert made.ends() == (130 if "-w" in line else 0)
            lines = (shown + made.screen).decode().replace("\r", "").splitlines()
        longest_name = max(len(one.split()[0].rstrip("…")) for one in lines)
        assert lines and max(len(one) for one in lines) <= max(20, longest_name + 1), lines
    talks.good("volume", "delete", "narrow-and-long", "--yes")

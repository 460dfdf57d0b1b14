"""What a soak counts: more of anything at its end is found, and what comes and goes with the moment is not."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.soak.census import GROWS_MIB, HANDLES, POOLED, THREADS, Census, Held, Host, lost, slope

FIRST = Census(5.0, 100, 900, Held(7, 40, 16, 70.0), Held(8, 12, 9, 10.0), {"capsuled": 1, "containerd": 1}, 3.3, 36.1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"daemon": Held(7, 41 + HANDLES, 16, 70.0)}, "capsuled had 40 handles"),
        ({"daemon": Held(7, 40, 17 + THREADS + POOLED, 70.0)}, "capsuled had 16 threads"),
        ({"runtime": Held(8, 12, 10 + THREADS, 10.0)}, "containerd had 9 threads"),
        ({"daemon": Held(7, 40, 16, 71.0 + GROWS_MIB)}, "capsuled had 70.0 MiB of memory"),
        ({"runtime": Held(9, 12, 9, 10.0)}, "containerd was 8, and is 9"),
        ({"processes": {"capsuled": 1, "containerd": 1, "sleep": 1}}, "there were the processes"),
        ({"disk_mib": 4.0 + GROWS_MIB}, "on the disk beside the journal"),
    ],
)
def test_what_there_is_more_of_at_the_end_is_found(changed: dict[str, Any], said: str) -> None:
    (wrong,) = lost(FIRST, replace(FIRST, minute=60.0, **changed))
    assert said in wrong


def test_a_few_handles_and_what_the_journal_grows_by_are_no_loss() -> None:
    later = replace(FIRST, entries=90_000, journal_mib=300.0, daemon=Held(7, 40 + HANDLES, 16 + THREADS + POOLED, 80.0))
    assert lost(FIRST, later) == []


def test_a_slope_is_what_is_gained_by_the_hour() -> None:
    assert slope([(0.0, 70.0), (0.5, 71.0), (1.0, 72.0)]) == pytest.approx(2.0)
    assert slope([(0.5, 70.0)]) == 0.0


def test_what_is_left_on_the_host_is_named() -> None:
    before = Host.now()
    later = before._replace(mounts=before.mounts | {"/run/capsule/x/memory"}, links=before.links | {"br9"})
    assert before.left(later) == ["mounts /run/capsule/x/memory is left", "links br9 is left"]


def test_a_program_that_nobody_waits_for_any_more_is_left(tmp_path: Path) -> None:
    before, program = Host.now(), tmp_path / "runc-like"
    program.symlink_to("/bin/sleep")
    begin = ["sh", "-c", '"$0" 60 >/dev/null 2>&1 & echo $!', str(program)]
    said = subprocess.run(begin, check=True, capture_output=True)
    pid = int(said.stdout)
    try:
        assert f"orphans {pid} (runc-like) is left" in before.left(Host.now())
    finally:
        os.kill(pid, signal.SIGKILL)

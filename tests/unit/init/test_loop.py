"""PID 1's loop as PID 1, in a process namespace of its own, with a stand-in for the daemon."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="this machine lacks root")

_PID_1 = """
import os, sys
sys.path.insert(0, {root!r})
import init.life
from init.main import Init
init.life.SILENCE_S = 1.0
assert os.getpid() == 1
print(Init(1, ({python!r}, {daemon!r}, {place!r})).run(), flush=True)
"""

_DAEMON = """
import os, pathlib, signal, subprocess, sys, time
place = pathlib.Path(sys.argv[1])
def note(text):
    with (place / "log").open("a") as log:
        log.write(text + "\\n")
if "--halt" in sys.argv:
    note("halt")
    sys.exit()
signal.signal(signal.SIGTERM, lambda *_: (note("ends"), sys.exit(0)))
note("read-only" if "--read-only" in sys.argv else "starts")
{body}
while True:
    signal.pause()
"""


class Standing:
    """PID 1 in its namespace; `pid` is what it is called outside of it."""

    def __init__(self, place: Path, process: "subprocess.Popen[str]") -> None:
        self._place = place
        self._process = process

    @property
    def pid(self) -> int:
        children = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        return int(Path(children).read_text().split()[0])

    @property
    def log(self) -> list[str]:
        file = self._place / "log"
        return file.read_text().splitlines() if file.exists() else []

    def until(self, count: int, line: str) -> None:
        deadline = time.monotonic() + 30
        while self.log.count(line) < count:
            assert time.monotonic() < deadline and self._process.poll() is None, (
                f"in vain: {count} times {line} in {self.log}"
            )
            time.sleep(0.01)

    def told(self, number: int) -> str:
        """Signal it, and return what it ended with."""
        os.kill(self.pid, number)
        return self._process.communicate(timeout=30)[0]


@contextmanager
def standing(place: Path, body: str) -> Iterator[Standing]:
    """PID 1 with a daemon whose life is `body`."""
    (place / "daemon.py").write_text(_DAEMON.format(body=body))
    program = place / "pid_1.py"
    daemon = str(place / "daemon.py")
    program.write_text(_PID_1.format(root=str(ROOT), python=sys.executable, daemon=daemon, place=str(place)))
    (place / "run").mkdir()
    prepare = f"mount --bind {place}/run /run && mkdir -p /run/capsule/init && exec {sys.executable} -IS {program}"
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c", prepare]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield Standing(place, process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "order"), [(signal.SIGTERM, "poweroff"), (signal.SIGINT, "reboot")])
def test_an_order_ends_the_daemon_then_the_workloads_then_the_machine(tmp_path: Path, number: int, order: str) -> None:
    with standing(tmp_path, "") as pid_1:
        pid_1.until(1, "starts")
        said = pid_1.told(number)
    assert pid_1.log == ["starts", "ends", "halt"]
    assert said.splitlines()[-1] == order


def test_the_daemon_can_give_the_order_itself(tmp_path: Path) -> None:
    with standing(tmp_path, 'os.write(3, b"reboot\\n")') as pid_1:
        pid_1.until(1, "halt")
        assert pid_1._process.communicate(timeout=30)[0].splitlines()[-1] == "reboot"


def test_a_daemon_that_fails_is_started_again_and_leaves_a_record(tmp_path: Path) -> None:
    body = 'if len((place / "log").read_text().split()) < 2: raise RuntimeError("a secret")'
    with standing(tmp_path, body) as pid_1:
        pid_1.until(2, "starts")
        (record,) = (tmp_path / "run/capsule/init/ends").iterdir()
        pid_1.told(signal.SIGTERM)
    head, _, said = record.read_text().partition("\n")
    assert head.endswith("exit 1") and said.endswith("RuntimeError: a secret\n")


def test_a_daemon_that_falls_silent_is_ended_and_started_again(tmp_path: Path) -> None:
    body = 'if len((place / "log").read_text().split()) < 2: os.write(3, b"alive\\n")'
    with standing(tmp_path, body) as pid_1:
        pid_1.until(2, "starts")
        (record,) = (tmp_path / "run/capsule/init/ends").iterdir()
        said = pid_1.told(signal.SIGTERM)
    assert record.read_text().split("\n")[0].endswith("hung") and "does not answer" in said


def test_hangup_starts_the_daemon_anew_and_is_no_failure(tmp_path: Path) -> None:
    with standing(tmp_path, "") as pid_1:
        pid_1.until(1, "starts")
        os.kill(pid_1.pid, signal.SIGHUP)
        pid_1.until(2, "starts")
        pid_1.told(signal.SIGTERM)
    assert pid_1.log == ["starts", "ends", "starts", "ends", "halt"]
    assert not (tmp_path / "run/capsule/init/ends").exists()


def test_a_daemon_that_fails_again_and_again_is_started_read_only(tmp_path: Path) -> None:
    with standing(tmp_path, 'if "--read-only" not in sys.argv: sys.exit(3)') as pid_1:
        pid_1.until(1, "read-only")
        said = pid_1.told(signal.SIGTERM)
    assert pid_1.log == ["starts"] * 5 + ["read-only", "ends", "halt"]
    assert "rescue: capsuled ended 5 times in a row" in said


def test_whoever_loses_its_parent_is_reaped_and_no_exit_code_of_the_daemons_children_is_lost(tmp_path: Path) -> None:
    body = """
for number in range(1, 21):
    subprocess.run(["sh", "-c", "for i in 1 2 3 4 5; do sleep 0.05 & done"])
    assert subprocess.run(["sh", "-c", f"exit {number}"]).returncode == number
while [one for one in pathlib.Path("/proc").glob("[0-9]*/stat") if one.read_text().split()[3] == "1"
       and one.parent.name != str(os.getpid())]:
    time.sleep(0.02)
note("reaped")
"""
    with standing(tmp_path, body) as pid_1:
        pid_1.until(1, "reaped")
        pid_1.told(signal.SIGTERM)
    assert pid_1.log == ["starts", "reaped", "ends", "halt"]

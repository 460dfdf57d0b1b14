"""PID 1's loop as PID 1, in a process namespace of its own, with a stand-in for the daemon."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.init.test_flushing import meminfo

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="this machine lacks root")

_PID_1 = """
import os, signal, sys
sys.path.insert(0, {root!r})
import init.flushing, init.life, init.main, init.trial, init.watchdog
init.life.SILENCE_S = 1.0
init.main.PET_S = 0.02
init.main.Watchdog = lambda: init.watchdog.Watchdog({place!r} + "/watchdog")
init.main.Flushing = lambda every_s: init.flushing.Flushing(every_s, {place!r} + "/meminfo", {place!r})
{settings}
assert os.getpid() == 1
trial = init.trial.Trial({command_line!r})
print(init.main.Init((1,), ({python!r}, {daemon!r}, {place!r}), trial=trial).run(), flush=True)
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
    def records(self) -> list[Path]:
        """How daemons ended, the first one first."""
        directory = self._place / "run/capsule/init/ends"
        return sorted(directory.glob("[0-9]*")) if directory.exists() else []

    @property
    def pets(self) -> int:
        """How often the watchdog was petted until now."""
        return (self._place / "watchdog").stat().st_size

    def pets_within(self, seconds: float) -> int:
        """How often the watchdog is petted in the time to come."""
        before = self.pets
        time.sleep(seconds)
        return self.pets - before

    def has_unwritten(self, kib: int) -> None:
        """What the kernel says that it has still to write."""
        (self._place / "meminfo.new").write_text(meminfo(kib))
        (self._place / "meminfo.new").rename(self._place / "meminfo")

    @property
    def log(self) -> list[str]:
        file = self._place / "log"
        return file.read_text().splitlines() if file.exists() else []

    def until(self, count: int, line: str) -> None:
        self.until_true(lambda: self.log.count(line) >= count, f"{count} times {line}")

    def until_true(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline and self._process.poll() is None, f"in vain: {what} in {self.log}"
            time.sleep(0.01)

    def until_said(self, words: str) -> None:
        """Wait for a line on its console."""
        assert self._process.stdout is not None
        assert any(words in line for line in self._process.stdout), f"it ended and never said {words}"

    def told(self, number: int) -> str:
        """Signal it, and return what it ended with."""
        os.kill(self.pid, number)
        return self.ended()

    def ended(self) -> str:
        """What it ended with."""
        return self._process.communicate(timeout=30)[0]


@contextmanager
def standing(place: Path, body: str, settings: str = "", command_line: str = "") -> Iterator[Standing]:
    """PID 1, set up by `settings`, with a daemon whose life is `body`. Its watchdog is a file, and so is the kernel's
    word on its memory; `command_line` is the kernel's."""
    (place / "watchdog").touch()
    (place / "meminfo").write_text(meminfo(0))
    (place / "daemon.py").write_text(_DAEMON.format(body=body))
    program = place / "pid_1.py"
    daemon = str(place / "daemon.py")
    program.write_text(
        _PID_1.format(
            root=str(ROOT),
            python=sys.executable,
            daemon=daemon,
            place=str(place),
            settings=settings,
            command_line=command_line,
        )
    )
    (place / "run").mkdir()
    prepare = 'mount --bind "$1" /run && mkdir -p /run/capsule/init && shift && exec "$@"'
    pid_1 = ["sh", "-c", prepare, "sh", str(place / "run"), sys.executable, "-IS", str(program)]
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", *pid_1]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield Standing(place, process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "order"),
    [
        (signal.SIGTERM, "poweroff"),
        (signal.SIGPWR, "poweroff"),
        (signal.SIGRTMIN + 4, "poweroff"),
        (signal.SIGINT, "reboot"),
        (signal.SIGRTMIN + 5, "reboot"),
    ],
)
def test_an_order_ends_the_daemon_then_the_workloads_then_the_machine(tmp_path: Path, number: int, order: str) -> None:
    with standing(tmp_path, "") as pid_1:
        pid_1.until(1, "starts")
        said = pid_1.told(number)
    assert pid_1.log == ["starts", "ends", "halt"]
    assert said.splitlines()[-1] == order


def test_little_is_to_wait_for_the_disk_once_the_machine_is_to_end_and_not_before(tmp_path: Path) -> None:
    with standing(tmp_path, "") as pid_1:
        pid_1.until(1, "starts")
        assert not (tmp_path / "dirty_bytes").exists()
        pid_1.told(signal.SIGTERM)
    assert (tmp_path / "dirty_bytes").read_text() == f"{256 << 20}\n"
    assert (tmp_path / "dirty_background_bytes").read_text() == f"{64 << 20}\n"


def test_the_daemon_can_give_the_order_itself(tmp_path: Path) -> None:
    with standing(tmp_path, 'os.write(3, b"reboot\\n")') as pid_1:
        pid_1.until(1, "halt")
        assert pid_1.ended().splitlines()[-1] == "reboot"


def test_the_first_order_counts_and_a_second_one_says_only_how_it_ends(tmp_path: Path) -> None:
    body = """
def hold(*_):
    note("told")
    while not (place / "go").exists(): time.sleep(0.01)
    sys.exit(0)
signal.signal(signal.SIGTERM, hold)
"""
    with standing(tmp_path, body) as pid_1:
        pid_1.until(1, "starts")
        os.kill(pid_1.pid, signal.SIGTERM)
        pid_1.until(1, "told")
        os.kill(pid_1.pid, signal.SIGINT)
        (tmp_path / "go").touch()
        assert pid_1.ended().splitlines()[-1] == "reboot"
    assert pid_1.log == ["starts", "told", "halt"]


def test_a_daemon_that_does_not_end_is_killed_and_the_machine_ends_all_the_same(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf')"
    with standing(tmp_path, body, "init.main.DAEMON_ENDS_S = 0.1") as pid_1:
        pid_1.until(1, "deaf")
        said = pid_1.told(signal.SIGTERM)
    assert pid_1.log == ["starts", "deaf", "halt"]
    assert "it is killed" in said and said.splitlines()[-1] == "poweroff"


COUNTS_TURNS = """
import atexit
init.life.SILENCE_S = 0.1
turns, tick = [], init.main.Init._tick
init.main.Init._tick = lambda self, now: (turns.append(now), tick(self, now))
atexit.register(lambda: print(len(turns), flush=True))
"""


def test_it_sleeps_through_a_slow_end(tmp_path: Path) -> None:
    slow = """
def ends_slowly(*_):
    os.write(3, b"alive\\n")
    time.sleep(0.5)
    sys.exit(0)
signal.signal(signal.SIGTERM, ends_slowly); note("slow")
"""
    with standing(tmp_path, slow, COUNTS_TURNS) as pid_1:
        pid_1.until(1, "slow")
        said = pid_1.told(signal.SIGTERM)
    order, turns = said.splitlines()[-2:]
    assert order == "poweroff" and int(turns) < 20


def test_a_daemon_that_fails_is_started_again_and_leaves_a_record(tmp_path: Path) -> None:
    body = 'if len((place / "log").read_text().split()) < 2: raise RuntimeError("a secret")'
    with standing(tmp_path, body) as pid_1:
        pid_1.until(2, "starts")
        (record,) = pid_1.records
        pid_1.told(signal.SIGTERM)
    head, _, said = record.read_text().partition("\n")
    assert head.endswith("exit 1") and said.endswith("RuntimeError: a secret\n")


def test_a_daemon_that_falls_silent_is_ended_and_started_again(tmp_path: Path) -> None:
    body = 'if len((place / "log").read_text().split()) < 2: os.write(3, b"alive\\n")'
    with standing(tmp_path, body) as pid_1:
        pid_1.until(2, "starts")
        (record,) = pid_1.records
        said = pid_1.told(signal.SIGTERM)
    assert record.read_text().split("\n")[0].endswith("hung") and "does not answer" in said


def test_hangup_starts_the_daemon_anew_and_is_no_failure(tmp_path: Path) -> None:
    with standing(tmp_path, "") as pid_1:
        pid_1.until(1, "starts")
        os.kill(pid_1.pid, signal.SIGHUP)
        pid_1.until(2, "starts")
        pid_1.told(signal.SIGTERM)
    assert pid_1.log == ["starts", "ends", "starts", "ends", "halt"]
    assert pid_1.records == []


def test_hangup_between_two_lives_hides_no_failure(tmp_path: Path) -> None:
    with standing(tmp_path, "sys.exit(3)", "init.life.FIRST_DELAY_S = init.life.CAP_DELAY_S = 1.0") as pid_1:
        pid_1.until_true(lambda: len(pid_1.records) == 1, "one has ended")
        os.kill(pid_1.pid, signal.SIGHUP)
        pid_1.until(3, "starts")
        assert len(pid_1.records) >= 2


def test_hangup_hides_no_fault_of_a_daemon_that_is_to_end(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, lambda *_: os.abort()); note('listens')"
    with standing(tmp_path, body) as pid_1:
        pid_1.until(1, "listens")
        os.kill(pid_1.pid, signal.SIGHUP)
        pid_1.until(2, "listens")
        (record,) = pid_1.records
        assert record.read_text().split("\n")[0].endswith(f"signal {signal.SIGABRT:d}")


def test_the_watchdog_is_petted_by_pid_1_and_held_over_a_crash_of_the_daemon(tmp_path: Path) -> None:
    body = 'os.write(3, b"watchdog\\n")\nif len((place / "log").read_text().split()) < 2: sys.exit(3)'
    with standing(tmp_path, body) as pid_1:
        pid_1.until(2, "starts")
        before = pid_1.pets
        pid_1.until_true(lambda: pid_1.pets > before + 3, "it is petted")
        held = [one.resolve() for one in Path(f"/proc/{pid_1.pid}/fd").iterdir()]
        assert held.count(tmp_path / "watchdog") == 1


def test_nobody_pets_the_watchdog_where_no_daemon_lives(tmp_path: Path) -> None:
    body = 'os.write(3, b"watchdog\\n")\nwhile not (place / "watchdog").stat().st_size: time.sleep(0.01)\nsys.exit(3)'
    with standing(tmp_path, body, "init.life.GIVE_UP_AFTER = 2") as pid_1:
        pid_1.until(3, "starts")
        before = pid_1.pets
        pid_1.until(4, "starts")
        assert pid_1.pets == before > 0


def test_nobody_pets_the_watchdog_for_an_end_that_does_not_come(tmp_path: Path) -> None:
    body = 'os.write(3, b"watchdog\\n"); signal.signal(signal.SIGTERM, signal.SIG_IGN); note("deaf")'
    unkillable = "init.main.DAEMON_ENDS_S = 0.1; signal.SIGKILL = 0"  # as one that waits for a disk in the kernel
    with standing(tmp_path, body, unkillable) as pid_1:
        pid_1.until(1, "deaf")
        pid_1.until_true(lambda: pid_1.pets > 0, "it is petted")
        os.kill(pid_1.pid, signal.SIGTERM)
        pid_1.until_said("it is killed")
        assert pid_1.pets_within(0.3) == 0  # fifteen times as long as it waits between two


def test_the_watchdog_is_petted_for_an_end_that_does_not_come_while_the_disk_gets_on(tmp_path: Path) -> None:
    body = 'os.write(3, b"watchdog\\n"); signal.signal(signal.SIGTERM, signal.SIG_IGN); note("deaf")'
    unkillable = "init.main.DAEMON_ENDS_S = 0.1; signal.SIGKILL = 0"
    with standing(tmp_path, body, unkillable) as pid_1:
        pid_1.until(1, "deaf")
        pid_1.has_unwritten(5000)
        os.kill(pid_1.pid, signal.SIGTERM)
        pid_1.until_said("it is killed")
        for kib in range(2000, 0, -200):
            before = pid_1.pets
            pid_1.has_unwritten(kib)
            pid_1.until_true(lambda then=before: pid_1.pets > then, "it is petted")  # type: ignore[misc]
        pid_1.until_true(lambda: pid_1.pets_within(0.3) == 0, "nobody pets it for what stands still")


COUNTS_PETS = """
init.main.PET_S = 60.0
tick = init.main.Init._tick
def counts(self, now):
    tick(self, now)
    if self.ended:
        print(os.stat({watchdog!r}).st_size, flush=True)
init.main.Init._tick = counts
"""


def test_the_watchdog_is_petted_as_the_loop_ends(tmp_path: Path) -> None:
    body = 'os.write(3, b"watchdog\\n"); note("told")'
    with standing(tmp_path, body, COUNTS_PETS.format(watchdog=str(tmp_path / "watchdog"))) as pid_1:
        pid_1.until(1, "told")
        before, order = pid_1.told(signal.SIGTERM).splitlines()[-2:]
    assert order == "poweroff" and pid_1.pets == int(before) + 1


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
def is_orphan(stat):
    try:
        return stat.read_text().split()[3] == "1" and stat.parent.name != str(os.getpid())
    except OSError:
        return False  # reaped in this moment
while any(map(is_orphan, pathlib.Path("/proc").glob("[0-9]*/stat"))):
    time.sleep(0.02)
note("reaped")
"""
    with standing(tmp_path, body) as pid_1:
        pid_1.until(1, "reaped")
        pid_1.told(signal.SIGTERM)
    assert pid_1.log == ["starts", "reaped", "ends", "halt"]


QUICK = "init.life.FIRST_DELAY_S = 0.001"


def test_a_new_system_whose_daemon_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    line = "capsule.update=7 capsule.window=99999"
    with standing(tmp_path, "sys.exit(3)", QUICK, line) as pid_1:
        said = pid_1.ended()
        assert "its daemon ended again and again: the machine goes back" in said and said.endswith("reboot\n")
        assert pid_1.log == ["starts"] * 5 + ["halt"]


def test_a_new_system_that_nobody_confirmed_is_given_up_by_the_clock_that_runs_since_the_kernel_began(
    tmp_path: Path,
) -> None:
    # Its clock leaps to the end of the window once the daemon can be told to end, and not before.
    leap = f"""
import time
clock, log = time.monotonic, {str(tmp_path / "log")!r}
init.trial.GRACE_S = clock() + 50
time.monotonic = lambda: clock() + 100 * (os.path.exists(log) and os.path.getsize(log) > 0)
"""
    with standing(tmp_path, "", leap, command_line="capsule.update=7 capsule.window=0") as pid_1:
        assert "nobody has confirmed it: the machine goes back" in pid_1.ended()
        assert pid_1.log == ["starts", "ends", "halt"]
        assert pid_1.pets  # its watchdog runs from the beginning, and not from the daemon's word on


def test_a_new_system_without_a_state_is_given_up_and_any_other_stands(tmp_path: Path) -> None:
    for number, (line, given_up) in enumerate((("capsule.update=7 capsule.window=99999", True), ("", False))):
        place = tmp_path / str(number)
        place.mkdir()
        with standing(place, r'os.write(3, b"lost\nreboot\n")', command_line=line) as pid_1:
            assert ("its trial would be undone with: the machine goes back" in pid_1.ended()) is given_up


def test_the_last_word_of_a_daemon_counts_though_its_end_is_looked_at_first(tmp_path: Path) -> None:
    body = r"""
while not (place / "go").exists(): time.sleep(0.01)
os.write(3, b"lost\n"); sys.exit(3)
"""
    with standing(tmp_path, body, command_line="capsule.update=7 capsule.window=99999") as pid_1:
        pid_1.until(1, "starts")
        init = pid_1.pid
        daemon = int(Path(f"/proc/{init}/task/{init}/children").read_text().split()[0])
        os.kill(init, signal.SIGSTOP)
        (tmp_path / "go").touch()
        pid_1.until_true(
            lambda: Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "it ended"
        )
        os.kill(init, signal.SIGCONT)
        assert pid_1.ended().splitlines()[-1] == "reboot"
    assert pid_1.log == ["starts", "halt"]


def test_a_system_that_is_confirmed_or_needs_not_be_stays_whatever_its_daemon_does(tmp_path: Path) -> None:
    body = "os.write(3, b'confirmed\\n'); sys.exit(3)"
    for number, line in enumerate(("capsule.update=7 capsule.window=99999", "capsule.slot=slot_a")):
        place = tmp_path / str(number)
        place.mkdir()
        with standing(place, body, QUICK, line) as pid_1:
            pid_1.until(1, "read-only")
            assert pid_1.told(signal.SIGTERM).endswith("poweroff\n")

"""The daemon on a real containerd: killed in every way, and what it says when its memory is in trouble."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsuled.host import cgroup_parent
from capsuled.identity import load_or_make_id
from capsuled.layout import hosted
from effects.runs.cgroups import ROOT, is_unified
from tests.support.daemon import CAPSULED, CTL, SERVE, Daemon, daemon, manifest
from tests.support.programs import running

pytestmark = pytest.mark.real


@pytest.fixture
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made


def ends_of(capsule: Daemon, name: str) -> list[tuple[int, int]]:
    events = capsule.history(name, "--type", "workload.exited")
    return [(event["body"]["run"], event["body"].get("exit_code")) for event in events]


def test_a_killed_daemon_adopts_what_runs_and_loses_no_exit(capsule: Daemon) -> None:
    capsule.apply(manifest("stays", SERVE), "--wait")
    capsule.apply(manifest("ends", SERVE.replace("exit 0", "exit 9"), restart="NEVER"), "--wait")
    capsule.until(lambda: capsule.good("logs", "ends") == "ready\n", "it knows how to end")
    before, ending = capsule.status("stays"), capsule.status("ends")["pid"]
    capsule.kill()
    os.kill(ending, signal.SIGTERM)
    capsule.until_gone(ending)
    capsule.start()
    capsule.until(lambda: ends_of(capsule, "ends") == [(1, 9)], "the exit is known")
    assert capsule.status("stays") == before
    started = capsule.history("--type", "daemon.started")
    assert [event["body"]["previous"] for event in started] == ["first", "crash"]


def test_exit_codes_and_restarts_are_exact_over_kills_of_daemon_containerd_and_both(capsule: Daemon) -> None:
    script = "n=$(cat /n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /n; sleep 0.3; exit $n"
    capsule.apply(manifest("counts", script))
    for number in range(9):
        time.sleep(0.7)
        if number % 3 != 1:
            capsule.kill()
        if number % 3 != 0:
            try:
                os.kill(capsule.containerd_pid(), signal.SIGKILL)
            except (AssertionError, ProcessLookupError):
                pass  # it dies with the daemon, too
        if number % 3 != 1:
            capsule.start()
    capsule.until(lambda: len(ends_of(capsule, "counts")) >= 4, "it ended often", seconds=60)
    capsule.good("stop", "counts", "--wait")
    ends = ends_of(capsule, "counts")
    # Each run counts on in its own file system and exits with the count: no run is skipped, none is told twice, and one
    # that was caught in its birth is made anew under its number. Only the last may have been killed by the stop.
    *others, last = ends
    assert others == [(run, run) for run in range(1, len(ends))], ends
    assert last in ((len(ends), len(ends)), (len(ends), 137)), ends
    assert capsule.status("counts").get("restartCount", 0) >= len(ends) - 1
    assert "Verified" in capsule.good("replay", "--verify")


def test_an_exec_that_was_open_is_closed_as_lost_and_its_process_is_gone(capsule: Daemon) -> None:
    capsule.apply(manifest("opened", SERVE), "--wait")
    command = [CTL, "exec", "opened", "sleep", "4343"]
    count = ["exec", "opened", "--", "sh", "-c", "ps | grep -c '[s]leep 4343'"]
    with running(command, env=capsule.environment, stderr=subprocess.DEVNULL) as client:
        capsule.until(lambda: capsule.ctl(*count).stdout == "1\n", "it sleeps")
        capsule.kill()
        client.wait()
    capsule.start()
    capsule.until(lambda: capsule.ctl(*count).stdout == "0\n", "its process is gone")
    (opened,) = [
        event for event in capsule.history("--type", "stream.opened") if "4343" in event["body"].get("argv", ())
    ]
    closed = {event["body"]["opened"]: event["body"] for event in capsule.history("--type", "stream.closed")}
    assert closed[opened["seq"]]["outcome"] == "lost"


def test_a_clean_stop_leaves_workloads_running_and_is_remembered(capsule: Daemon) -> None:
    capsule.apply(manifest("stays", SERVE), "--wait")
    before = capsule.status("stays")
    assert capsule.stop() == 0
    assert Path(f"/proc/{before['pid']}").exists()
    capsule.start()
    capsule.until(lambda: capsule.status("stays") == before, "it was adopted")
    assert capsule.history("--type", "daemon.started")[-1]["body"]["previous"] == "clean"


def test_two_daemons_on_one_state_are_one_too_many(capsule: Daemon) -> None:
    second = subprocess.run(
        [Path(sys.executable).parent / "capsuled", "--state", capsule.state],
        env=capsule.environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert second.returncode == 1 and "another capsuled has" in second.stderr
    capsule.good("list")


def test_a_damaged_journal_is_served_read_only_while_everything_runs(capsule: Daemon) -> None:
    capsule.apply(manifest("runs", SERVE), "--wait")
    pid = capsule.status("runs")["pid"]
    capsule.kill()
    # In every copy: what was not moved yet stands in the front log alone, and a page that is written anew leaves the old
    # one in LMDB's file.
    for name in ("data.mdb", "front.log"):
        file = capsule.state / "journal" / name
        file.write_bytes(file.read_bytes().replace(b"daemon.started", b"eaemon.started"))
    capsule.start()
    info = capsule.ctl("capsule", "info")
    assert "damaged" in info.stderr and "capsulectl journal verify" in info.stderr
    refused = capsule.ctl("apply", "-f", "-", stdin=manifest("more", SERVE))
    assert refused.returncode == 1 and "nothing can be changed" in refused.stderr
    assert Path(f"/proc/{pid}").exists()


def test_a_mistyped_state_directory_is_not_halted_and_not_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for wrong, options, why in (
        (tmp_path / "typo", ["--halt"], "is no capsule's state: there is nothing to end"),
        (file, ["--halt"], "is a file: --state names a directory"),
        (file, [], "is a file: --state names a directory"),
    ):
        command = [CAPSULED, "--state", str(wrong), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and done.stderr == f"capsuled: {wrong} {why}\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_halted_capsule_starts_everything_again(capsule: Daemon) -> None:
    capsule.apply(manifest("again", SERVE), "--wait")
    capsule.apply(manifest("stopped", SERVE), "--wait")
    capsule.good("stop", "stopped", "--wait")
    capsule.stop()
    halted = subprocess.run(
        [Path(sys.executable).parent / "capsuled", "--state", capsule.state, "--halt"],
        env=capsule.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert halted.stdout == "1 run ended\n"
    capsule.start()
    capsule.good("wait", "again")
    assert capsule.status("again")["run"] == 2
    assert capsule.status("stopped")["phase"] == "WORKLOAD_PHASE_STOPPED"


def test_a_halt_ends_also_what_the_runtime_has_forgotten(capsule: Daemon) -> None:
    capsule.stop()
    parent = cgroup_parent(load_or_make_id(hosted(capsule.state).identity)).lstrip("/")
    group = (ROOT if is_unified() else ROOT / "memory") / parent / "web.7.3"
    group.mkdir(parents=True)
    with running(["sleep", "60"]) as forgotten:
        (group / "cgroup.procs").write_text(str(forgotten.pid))
        halted = subprocess.run(
            [CAPSULED, "--state", str(capsule.state), "--halt"],
            env=capsule.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert halted.stdout == "1 run ended\n" and "web.7.3 lived on" in halted.stderr
        assert forgotten.wait(10) == -signal.SIGKILL
    assert not group.parent.exists()


def test_a_halt_gives_each_run_the_time_it_was_declared_with_and_no_more_than_it_has_itself(capsule: Daemon) -> None:
    slow = "trap 'sleep 6; echo done with it; exit 0' TERM; echo ready; while :; do sleep 1 & wait $!; done"
    for name, grace in (("patient", 30), ("hurried", 1)):
        capsule.apply(manifest(name, slow, stopGraceSeconds=grace), "--wait")
    halt = [CAPSULED, "--state", str(capsule.state), "--halt"]
    ended = {}
    for options in ((), ("--within", "2")):
        capsule.stop()
        subprocess.run([*halt, *options], env=capsule.environment, capture_output=True, timeout=60, check=True)
        capsule.start()
        capsule.good("wait", "patient", "hurried")
        ended[options] = [name for name in ("patient", "hurried") if "done" in capsule.good("logs", "--previous", name)]
    assert ended == {(): ["patient"], ("--within", "2"): []}


def test_a_halt_that_is_told_to_end_kills_what_it_waits_for_and_nothing_counts_as_ended_by_itself(
    capsule: Daemon,
) -> None:
    deaf = "trap '' TERM; echo ready; while :; do sleep 1 & wait $!; done"
    capsule.apply(manifest("deaf", deaf, stopGraceSeconds=60), "--wait")
    capsule.apply(manifest("willing", SERVE, restart="ON_FAILURE"), "--wait")
    capsule.until(lambda: capsule.good("logs", "deaf") == capsule.good("logs", "willing") == "ready\n", "both listen")
    pids = [capsule.status(name)["pid"] for name in ("willing", "deaf")]
    capsule.stop()
    halt = [CAPSULED, "--state", str(capsule.state), "--halt"]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with running(halt, env=capsule.environment, **output) as halting:
        capsule.until_gone(pids[0])
        halting.send_signal(signal.SIGINT)
        said, complaints = halting.communicate(timeout=30)
    assert (halting.returncode, said) == (0, "2 runs ended\n"), complaints
    assert "Traceback" not in complaints and "deaf is not waited for any longer" in complaints
    assert not Path(f"/proc/{pids[1]}").exists()
    capsule.start()
    capsule.good("wait", "deaf", "willing")
    assert [capsule.status(name)["run"] for name in ("deaf", "willing")] == [2, 2]
    capsule.stop()
    subprocess.run([*halt, "--within", "0"], env=capsule.environment, capture_output=True, timeout=60, check=True)


@pytest.mark.parametrize("within", ["-1", "soon", "inf"])
def test_a_halt_has_a_time_that_is_one(within: str, tmp_path: Path) -> None:
    command = [CAPSULED, "--state", str(tmp_path), "--halt", "--within", within]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and f"--within: {within} is no number of seconds" in done.stderr


def test_an_unset_variable_is_no_state_directory(tmp_path: Path) -> None:
    command = [CAPSULED, "--state", "", "--listen", "none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "an empty word is no directory: is a variable unset?" in done.stderr
    assert not list(tmp_path.iterdir())


def test_halts_are_no_ends_that_a_restart_policy_counts(capsule: Daemon) -> None:
    capsule.apply(manifest("patient", SERVE, restart="on-failure:1"), "--wait")
    for halts in range(1, 4):
        capsule.stop()
        subprocess.run(
            [Path(sys.executable).parent / "capsuled", "--state", capsule.state, "--halt"],
            env=capsule.environment, capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        capsule.start()
        capsule.good("wait", "patient")
        shown = capsule.status("patient")
        assert (shown["run"], shown.get("endsInARow", 0)) == (halts + 1, 0)
    ends = [one["type"] for one in capsule.history() if one["type"].startswith(("machine.", "daemon."))]
    assert ends[1:] == ["daemon.stopped", "machine.halted", "daemon.started"] * 3


def test_the_socket_is_nobody_elses(capsule: Daemon) -> None:
    path = (capsule.state / "capsule.sock").resolve()
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o600, 0o700]


FULL = """
import runpy, sys
from journal.errors import JournalFull
from journal.writer import Journal

def refuse(*_, **__):
    raise JournalFull("its reserve is used up, too")

if "--read-only" not in sys.argv:
    Journal.append = refuse
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def test_who_waits_for_a_start_is_told_also_where_it_goes_on_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full.py").write_text(FULL)
    with daemon(start=False) as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
        waiting.bind(str(tmp_path / "notify"))
        waiting.settimeout(60)
        command = [sys.executable, str(tmp_path / "full.py"), CAPSULED, "--state", str(place.state), "--listen", "none"]
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with running(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert waiting.recv(100) == b"READY=1"
            assert "even the journal's reserve is used up" in place.ctl("capsule", "info").stderr
            process.terminate()
            assert "start capsuled again. What runs goes on" in process.communicate(timeout=30)[1]

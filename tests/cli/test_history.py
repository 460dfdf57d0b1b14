"""History as a person reads it: what went wrong, by call, between moments, of one boot; a workload's revisions."""

import json
import signal
import subprocess

import pytest

from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.programs import running
from tests.support.terminal import window

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def told(capsule: Daemon) -> Daemon:
    """One workload that was declared three times, and one that fails."""
    for number in range(3):
        capsule.apply(manifest("told", f"{SERVE} # {number}", env={"N": str(number)}), "--wait")
    capsule.apply(manifest("fails", "exit 3", restart="NEVER"))
    capsule.good("wait", "fails", "--for", "failed")
    capsule.good("delete", "told", "--yes")
    return capsule


def lines(capsule: Daemon, *arguments: str) -> list[str]:
    return capsule.good("history", *arguments).splitlines()


def test_only_what_went_wrong(told: Daemon) -> None:
    (one,) = lines(told, "fails", "--failed")
    assert "fails run 1 exited with code 3" in one
    assert lines(told, "told", "--failed") == [], "an end that was asked for is no failure"
    # A name of nobody's, also in this session's other tests: what was refused of one is remembered, too.
    assert told.ctl("history", "never-was").stderr == "nothing that is so is remembered\n"
    assert told.ctl("history", "never-was", "-q").stderr == "" == told.ctl("history", "told").stderr


def test_a_narrow_window_has_room_for_what_happened(told: Daemon) -> None:
    with window(cols=80) as made:
        made.run([CTL, "history", "fails", "--failed"], told.environment | {"PAGER": "cat"})
        assert made.ends() == 0
    shown = made.screen.decode()
    assert "  fails run 1 exited with code 3" in shown and "workload.exited" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_each_call_with_what_it_led_to(told: Daemon) -> None:
    first, applied, *_ = lines(told, "fails", "--calls")
    assert "MachineService.ApplyAll(fails)" in first and not first.startswith("   " * 4)
    assert len(applied) - len(applied.lstrip()) == len(first) - len(first.lstrip()) + 3
    assert len(lines(told, "fails", "--calls")) == len(lines(told, "fails"))


def test_who_is_found_as_he_is_printed(told: Daemon) -> None:
    mine = [line for line in lines(told, "told") if " local(" in line]
    who = next(word for word in mine[0].split() if word.startswith("local("))
    assert mine and lines(told, "told", "--actor", who) == mine
    assert len(mine) < len(lines(told, "told", "--actor", "local"))
    assert lines(told, "told", "--actor", "local(nobody)") == [] == lines(told, "told", "--actor", "effect(root)")
    for option in ("--actor", "--type"):
        unset = told.ctl("history", option, "")
        assert unset.returncode == 2 and "is a variable unset?" in unset.stderr


def test_until_a_moment_and_of_one_boot(told: Daemon) -> None:
    assert lines(told, "told", "--until", "1d") == []
    everything = lines(told, "told")
    assert lines(told, "told", "--until", "0s") == everything == lines(told, "told", "--boot", "0")
    missing = told.ctl("history", "--boot", "-9")
    assert missing.returncode == 1 and "before this one" in missing.stderr
    ahead = told.ctl("history", "--boot", "1")
    assert ahead.returncode == 1 and "0 is the present one" in ahead.stderr
    vain = told.ctl("history", "-f", "--calls")
    assert vain.returncode == 2 and "it has no --until" in vain.stderr


def test_reads_go_on_too(told: Daemon) -> None:
    told.good("get", "fails")
    command = [CTL, "history", "fails", "--reads", "-f", "-n", "1", "-o", "json"]
    with running(command, env=told.environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None and follower.stdout.readline()
        reads: list[int] = []
        while len(reads) < 2:  # the first may have stood there before
            told.good("get", "fails")
            read = json.loads(follower.stdout.readline())
            assert (read["stream"], read["type"], read["objects"]) == ("audit", "call.read", ["fails"])
            reads.append(int(read["seq"]))
        assert reads == sorted(set(reads))
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=20) == 130


def test_an_entry_is_shown_where_letters_are_few(told: Daemon) -> None:
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([CTL, "history", "show", "1"], env=told.environment | poor, capture_output=True, check=False)
    assert done.returncode == 0 and b"\\u27a4 1  daemon.started" in done.stdout


def test_the_revisions_of_a_workload_and_what_each_changed(told: Daemon) -> None:
    shown = told.good("workload", "history", "told")
    assert shown.count("  created\n") == 1 and shown.count("  changed\n") == 2 and shown.count("  removed\n") == 1
    assert '+ container.networkMode: "NONE"' in shown and "~ container.env.N: " in shown
    newest = told.good("workload", "history", "told", "-n", "2")
    assert newest.count("\n") < shown.count("\n") and "~ container.env.N: " in newest and "created" not in newest
    data = json.loads(told.good("workload", "history", "told", "-o", "json"))
    assert [bool(one.get("created")) for one in data] == [True, False, False, False] and data[-1]["removed"]
    numbers = told.good("workload", "history", "told", "-o", "name").split()
    assert numbers == [str(one["entry"]["seq"]) for one in data]
    nobody = told.ctl("workload", "history", "nobody")
    assert nobody.returncode == 1 and "there is no workload nobody" in nobody.stderr


def test_in_a_window_a_long_history_goes_through_the_pager(told: Daemon) -> None:
    paged = {**told.environment, "PAGER": "sed s/^/paged:/"}
    with window(rows=5) as made:
        made.run([CTL, "history"], paged)
        made.sees("paged:")
        assert made.ends() == 0
    with window(rows=24) as made:
        made.run([CTL, "history", "-n", "1"], paged)
        assert made.ends() == 0 and b"paged:" not in made.screen and made.screen.count(b"\n") == 1


def test_what_failed_is_named_and_the_removal_of_what_never_ran_is_no_failure(capsule: Daemon) -> None:
    capsule.apply(manifest("unborn", "", command=["ngnix"]))
    capsule.good("wait", "unborn", "--for", "failed")
    assert capsule.ctl("exec", "unborn", "true").returncode
    capsule.good("delete", "unborn", "--yes")
    capsule.good("wait", "unborn", "--for", "gone")
    failed = capsule.good("history", "unborn", "--failed", "-n", "0")
    assert "unborn run 1 could not be started: " in failed and "WorkloadService.Exec(unborn) refused" in failed, failed
    assert "never came to life" not in failed and " lost" not in failed

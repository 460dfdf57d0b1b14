"""Drift by the command line: listed, selected, watched, exits like a diff."""

import json
import subprocess

import pytest

from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.programs import running

pytestmark = pytest.mark.real


def reported(name: str) -> str:
    return json.dumps({**json.loads(manifest(name, SERVE, restartPolicy={"backoffFirst": "100ms"})), "drift": "report"})


def killed(capsule: Daemon, name: str) -> None:
    """By another hand: whoever has root can."""
    subprocess.run(["kill", "-KILL", str(capsule.status(name)["pid"])], check=True)
    capsule.until(lambda: capsule.ctl("drift", name, "--label", "foreign").returncode == 1, "it is listed")


def test_nothing_differs_and_that_is_said_beside_the_data(capsule: Daemon) -> None:
    capsule.apply(manifest("calm", SERVE), "--wait")
    done = capsule.ctl("drift", "calm")
    assert (done.returncode, done.stdout) == (0, "") and "no drift" in done.stderr
    assert capsule.ctl("drift", "calm", "-q").stderr == ""
    assert capsule.data("drift", "calm").get("differences") == []
    capsule.good("delete", "calm", "--yes")


def test_a_stopped_workload_is_intended_and_its_event_is_the_stop(capsule: Daemon) -> None:
    capsule.apply(manifest("halted", SERVE), "--wait")
    capsule.good("stop", "halted", "--wait")
    done = capsule.ctl("drift", "workload/halted", "-o", "json")
    (one,) = json.loads(done.stdout)["differences"]
    assert done.returncode == 0 and (one["label"], one["what"]) == ("intended", "it is stopped")
    assert capsule.ctl("drift", "halted", "--label", "intended").returncode == 1, "it was asked for by its label"
    (event,) = (entry for entry in capsule.history("halted") if entry["seq"] == one["seq"])
    assert event["type"] == "workload.stop_requested"
    assert capsule.ctl("drift", "halted", "--label", "foreign").returncode == 0
    capsule.good("delete", "halted", "--yes")


def test_another_hands_kill_is_foreign_told_by_history_and_lifted_by_a_start(capsule: Daemon) -> None:
    capsule.apply(reported("guarded"), "--wait")
    killed(capsule, "guarded")
    table = capsule.ctl("drift", "guarded").stdout
    assert "workload/guarded  foreign" in table and "run 1 was killed by another hand" in table
    wide = capsule.ctl("drift", "guarded", "-o", "wide").stdout
    assert "ASPECT" in wide and " run " in wide and " no " in wide
    assert capsule.ctl("drift", "guarded", "-o", "name").stdout == "workload/guarded\n"
    assert "guarded run 1 exited with code 137 (SIGKILL), killed by another hand" in capsule.good("history", "guarded")
    assert "drift.found" in capsule.good("history", "guarded")
    again = capsule.good("apply", "-f", "-", "--dry-run", stdin=reported("guarded"))
    assert "StartRun" in again
    capsule.good("start", "guarded", "--wait")
    assert capsule.ctl("drift", "guarded").returncode == 0
    capsule.until(lambda: "drift.resolved" in capsule.good("history", "guarded"), "history tells of the end of it")
    capsule.good("delete", "guarded", "--yes")


def test_the_policy_is_shown_changed_alone_and_applied_again(capsule: Daemon) -> None:
    capsule.apply(manifest("policed", SERVE), "--wait")
    run = capsule.status("policed")["run"]
    assert "drift" in capsule.ctl("diff", "-f", "-", stdin=reported("policed")).stdout
    capsule.good("apply", "-f", "-", stdin=json.dumps({**json.loads(manifest("policed", SERVE)), "drift": "report"}))
    assert "REPORT" in capsule.good("get", "policed", "-o", "yaml") and capsule.status("policed")["run"] == run
    assert "unchanged" in capsule.apply(capsule.good("get", "policed", "-o", "yaml"))
    bad = json.dumps({**json.loads(manifest("policed", SERVE)), "drift": "shrug"})
    refused = capsule.ctl("apply", "-f", "-", stdin=bad)
    assert refused.returncode == 2 and "REPAIR" in refused.stderr and "REPORT" in refused.stderr
    capsule.good("delete", "policed", "--yes")


def test_what_is_not_there_or_no_label_is_an_error_and_no_drift(capsule: Daemon) -> None:
    missing = capsule.ctl("drift", "nobody")
    assert missing.returncode == 2 and "nothing here is called nobody" in missing.stderr
    assert capsule.ctl("drift", "--label", "guilty").returncode == 2
    deaf = capsule.ctl("drift", "--capsule", "unix:/nowhere/at/all.sock")
    assert deaf.returncode == 2 and "no such socket" in deaf.stderr


def test_a_watch_shows_what_there_is_and_each_change(capsule: Daemon) -> None:
    capsule.apply(manifest("watched", SERVE), "--wait")
    command = [CTL, "drift", "watched", "-w", "-o", "json"]
    with running(command, env=capsule.environment, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        capsule.good("stop", "watched", "--wait")
        capsule.good("start", "watched", "--wait")
        shown: list[tuple[bool, str]] = []
        while not shown or not shown[-1][0]:
            line = watch.stdout.readline()
            assert line, f"it never says that it is resolved: {shown}"
            item = json.loads(line)
            shown.append((item["resolved"], item["difference"]["what"]))
        assert not shown[0][0] and all(label is False for label, _ in shown[:-1])
    capsule.good("delete", "watched", "--yes")

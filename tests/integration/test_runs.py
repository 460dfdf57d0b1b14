"""Runs that fail, on a real daemon and a real containerd: what is said, what is remembered, what is tried again."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import SERVE, Daemon, daemon, manifest
from tools.demo_image import archive

pytestmark = pytest.mark.real

FOREIGN = b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(60)


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        path = made.scratch / "demo.tar"
        path.write_bytes(archive("demo:1", programs={"bin/foreign": FOREIGN}, config={"StopSignal": "SIGUSR1"}))
        made.good("image", "push", str(path))
        yield made


def detail(capsule: Daemon, name: str) -> str:
    return str(capsule.status(name).get("phaseDetail"))


def ends(capsule: Daemon, name: str) -> list[dict[str, Any]]:
    return [event["body"] for event in capsule.history(name, "--type", "workload.exited")]


def test_a_crash_loop_is_remembered_over_a_killed_daemon_and_given_up_in_the_end(capsule: Daemon) -> None:
    policy = {"mode": "on-failure", "maxAttempts": 4, "backoffFirst": "200ms"}
    capsule.apply(manifest("loops", "exit 3", restart=policy))
    capsule.until(lambda: len(ends(capsule, "loops")) >= 3, "it has failed three times")
    capsule.kill()
    capsule.start()
    capsule.until(lambda: detail(capsule, "loops") == "gave-up", "it is given up")
    told = ends(capsule, "loops")
    assert [end["streak"] for end in told] == [1, 2, 3, 4, 5] and told[-1]["gave_up"]
    assert [end.get("restart_delay_ms", 0) for end in told] == [200, 400, 800, 1600, 0]
    status = capsule.status("loops")
    assert status["message"] == "given up after 4 restarts in a row: exited with code 3"
    assert status["endsInARow"] == 5 and status["phase"] == "WORKLOAD_PHASE_FAILED"
    assert status["lastEnd"] == "exited with code 3"


def test_a_death_for_want_of_memory_is_known_also_when_nobody_was_there(capsule: Daemon) -> None:
    script = SERVE.replace("exit 0", "exec tail /dev/zero")
    capsule.apply(manifest("hog", script, restart="never", resources={"memory": "32MiB"}), "--wait")
    capsule.until(lambda: capsule.good("logs", "hog") == "ready\n", "it can be told to begin")
    pid = capsule.status("hog")["pid"]
    capsule.kill()  # and containerd with it
    os.kill(pid, signal.SIGTERM)
    capsule.until_gone(pid)
    capsule.start()
    capsule.until(lambda: "exitCode" in capsule.status("hog"), "the end is known")
    status = capsule.status("hog")
    assert (status["message"], status["oomKilled"]) == ("killed: out of memory (limit 32 MiB)", True)
    (end,) = ends(capsule, "hog")
    assert (end["oom"], end["oom_kills"], end["memory_limit_bytes"], end["exit_code"]) == (True, 1, 32 << 20, 137)


def test_a_process_killed_for_want_of_memory_is_told_while_the_others_go_on(capsule: Daemon) -> None:
    capsule.apply(manifest("suffers", f"tail /dev/zero; {SERVE}", resources={"memory": "32MiB"}), "--wait")
    capsule.until(lambda: capsule.history("suffers", "--type", "workload.oom_killed"), "it is told")
    status = capsule.status("suffers")
    assert status["message"] == "a process of it was killed: out of memory (limit 32 MiB)"
    assert status["phase"] == "WORKLOAD_PHASE_RUNNING"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": ["/missing"]}, "the command `/missing` does not exist in the image"),
        ({"command": ["/etc/passwd"]}, "is not executable in the image"),
        ({"command": ["foreign"]}, "`/bin/foreign` cannot be executed: it was built for another machine"),
        ({"user": "nobody-here"}, "the image has no user nobody-here"),
        ({"workingDir": "/etc/passwd"}, "the working directory /etc/passwd cannot be entered: not a directory"),
    ],
    ids=["missing", "not-executable", "foreign", "user", "working-dir"],
)
def test_what_can_never_run_fails_once_with_its_reason_and_runs_once_it_is_mended(
    capsule: Daemon, fields: dict[str, Any], words: str, request: pytest.FixtureRequest
) -> None:
    name = f"vain-{request.node.callspec.id}"
    capsule.apply(manifest(name, SERVE, **fields))
    capsule.until(lambda: capsule.status(name).get("phase") == "WORKLOAD_PHASE_FAILED", "it fails")
    assert words in capsule.status(name)["message"]
    starts = capsule.history(name, "--type", "effect.started")
    assert [event["body"]["effect"] for event in starts].count("StartRun") == 1
    capsule.apply(manifest(name, SERVE), "--wait")
    assert capsule.status(name)["phase"] == "WORKLOAD_PHASE_RUNNING"
    capsule.good("delete", name, "--yes")
    assert not (capsule.state / "containers" / name).exists()


def test_a_path_of_the_machine_is_asked_for_at_apply_and_waited_for_at_a_start(capsule: Daemon, tmp_path: Path) -> None:
    data = tmp_path / "data"
    binds = manifest("binds", SERVE, hostBinds=[f"{data}:/data"])
    refused = capsule.ctl("apply", "-f", "-", stdin=binds)
    assert refused.returncode == 1 and f"{data} does not exist on this machine" in refused.stderr
    (event,) = capsule.history("--type", "call.refused")[-1:]
    assert event["body"]["fields"] == ["container.hostBinds[0].source"] and str(data) not in json.dumps(event)
    data.mkdir()
    capsule.apply(binds, "--wait")
    capsule.good("stop", "binds", "--wait")
    data.rmdir()
    capsule.good("start", "binds")
    capsule.until(lambda: detail(capsule, "binds") == "retrying", "it cannot start")
    assert f"{data} does not exist on this machine" in capsule.status("binds")["message"]
    data.mkdir()
    capsule.until(lambda: capsule.status("binds").get("phase") == "WORKLOAD_PHASE_RUNNING", "it starts by itself")


def test_the_images_stop_signal_ends_a_run(capsule: Daemon) -> None:
    script = "trap 'exit 10' USR1; trap 'exit 11' TERM; while :; do sleep 0.2 & wait $!; done"
    capsule.apply(manifest("asked", script, stopGraceSeconds=20), "--wait")
    capsule.until(lambda: _traps(capsule.status("asked")["pid"]), "the shell has set its traps")
    capsule.good("stop", "asked", "--wait")
    assert ends(capsule, "asked")[0]["exit_code"] == 10


def _traps(pid: int) -> bool:
    told = Path(f"/proc/{pid}/status").read_text()
    caught = int(told.split("SigCgt:\t")[1].split()[0], 16)
    return "Name:\tsh\n" in told and bool(caught >> 14 & 1)


def test_what_is_shown_can_be_applied_again_and_changes_nothing(capsule: Daemon) -> None:
    for name in ("limited", "hardened"):
        text = Path(f"examples/{name}.yaml").read_text()
        capsule.apply(text, "--wait")
        assert "unchanged" in capsule.apply(text)
        shown = capsule.good("get", name, "-o", "yaml")
        assert f"workload/{name} unchanged" in capsule.apply(shown)
        assert capsule.ctl("diff", "-f", "-", stdin=shown).returncode == 0

"""A journal that a newer release wrote: what must be understood freezes the daemon, what only tells is kept and skipped."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.sidelog import SideLog
from tests.support.daemon import SERVE, Daemon, daemon, manifest
from tests.support.entries import keep, newer_release

pytestmark = pytest.mark.real

STRANGE = {"name": "runs", "raw": b"\xff\x00", "items": [1, 2], "depth": {"a": [True, None, 1.5]}}


@pytest.fixture
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made


def files(directory: Path) -> dict[str, bytes]:
    ours = ("lock.mdb", "owner.lock")
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name not in ours}


def test_an_entry_that_must_be_understood_freezes_the_daemon_and_everything_runs_on(
    capsule: Daemon, tmp_path: Path
) -> None:
    capsule.apply(manifest("runs", SERVE, env={"A": "1"}), "--wait")
    capsule.apply(manifest("ends", SERVE), "--wait")
    pids = {name: capsule.status(name)["pid"] for name in ("runs", "ends")}
    assert capsule.stop() == 0
    journal = capsule.state / "journal"
    future = newer_release(journal)
    future.forge("weather.noticed", {"sky": "grey"}, "may")
    future.forge("workload.teleported", STRANGE)
    future.forge("workload.stop_requested", {"type": "workload.stop_requested", "name": "runs", "uid": 1})
    keep(journal, future.entries)
    before = files(journal)

    capsule.start()
    info = capsule.ctl("capsule", "info")
    assert "frozen" in info.stderr + info.stdout
    assert "workload.teleported" in info.stderr and "release 9.0.0" in info.stderr

    # It adopts what runs and plans nothing: an end is not answered with a restart.
    assert all(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert capsule.status("runs") == {**capsule.status("runs"), "phase": "WORKLOAD_PHASE_RUNNING", "pid": pids["runs"]}
    os.kill(pids["ends"], signal.SIGKILL)
    capsule.until(lambda: not Path(f"/proc/{pids['ends']}").exists(), "it ended")

    # It serves reads, and shows also what it cannot read.
    assert capsule.good("list", "-o", "name").split() == ["ends", "runs"]
    shown = {event["type"]: event for event in capsule.history()}
    assert shown["workload.teleported"]["body"]["depth"] == {"a": [True, None, 1.5]}
    assert "only a newer release may act" in shown["workload.teleported"]["summary"]
    assert shown["weather.noticed"]["body"] == {"sky": "grey"}
    tree = capsule.data("history", "show", str(shown["workload.teleported"]["seq"]))
    assert tree["event"]["type"] == "workload.teleported"
    assert "ready" in capsule.good("logs", "runs") and capsule.good("image", "list")

    # It proves and exports everything, the strange entries too.
    assert not capsule.data("journal", "verify").get("findings")
    capsule.good("journal", "export", str(tmp_path / "memory.capsule"))
    capsule.good("journal", "import", str(tmp_path / "memory.capsule"), "--dir", str(tmp_path / "copy"))
    capsule.good("journal", "verify", "--dir", str(tmp_path / "copy"))
    folded = capsule.ctl("replay", "--file", str(tmp_path / "memory.capsule"))
    assert folded.returncode == 1 and "workload.teleported" in folded.stderr

    # Whatever would change something is refused with the reason, and nothing is written.
    for refused in (
        capsule.ctl("apply", "-f", "-", stdin=manifest("more", SERVE, env={"B": "new"})),
        capsule.ctl("start", "runs"),
        capsule.ctl("restart", "runs"),
        capsule.ctl("delete", "runs", "--yes"),
        capsule.ctl("exec", "runs", "true"),
        capsule.ctl("image", "push", str(capsule.scratch / "demo.tar")),
    ):
        assert refused.returncode in (1, 125), refused
        assert "nothing can be changed" in refused.stderr and "only a newer release may act" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert capsule.status("ends")["run"] == 1, "nothing was planned"
    assert files(journal) == before

    # An emergency stop acts, and says that it is not remembered.
    stopped = capsule.ctl("stop", "runs")
    assert stopped.returncode == 0 and "not remembered as desired state" in stopped.stderr
    assert "shall stop" not in stopped.stderr
    capsule.until(lambda: not Path(f"/proc/{pids['runs']}").exists(), "it was stopped")
    assert capsule.stop() == 0 and files(journal) == before
    side_log = SideLog(capsule.state / "side.log")
    assert [(one.action, one.name) for one in side_log.records()] == [("stop", "runs")]
    side_log.close()


def test_an_entry_that_only_tells_is_kept_skipped_and_shown(capsule: Daemon) -> None:
    capsule.apply(manifest("runs", SERVE), "--wait")
    before = capsule.status("runs")
    assert capsule.stop() == 0
    journal = capsule.state / "journal"
    future = newer_release(journal)
    strange = future.forge("weather.noticed", STRANGE, "may")
    future.forge("call.read", b"\x93\x01\x02\x03", "may", version=7)
    keep(journal, future.entries)
    capsule.start()
    capsule.until(lambda: capsule.status("runs") == before, "it was adopted")
    assert "frozen" not in capsule.ctl("capsule", "info").stderr
    (event,) = capsule.history("--type", "weather.noticed")
    assert (event["seq"], event["summary"], event["release"]) == (
        strange.header.seq, "(written by a newer release)", "9.0.0",
    )  # fmt: skip
    assert event["body"]["name"] == "runs" and "weather.noticed" in [one["type"] for one in capsule.history("runs")]
    capsule.good("restart", "runs", "--wait")
    assert "Verified" in capsule.good("replay", "--verify")
    assert capsule.stop() == 0
    capsule.start()
    assert capsule.history("--type", "weather.noticed") == [event], "it is kept for whoever can read it"


def test_a_body_that_nobody_can_read_far_back_is_damage_and_no_crash(capsule: Daemon) -> None:
    capsule.apply(manifest("runs", SERVE), "--wait")
    capsule.kill()
    journal = capsule.state / "journal"
    future = newer_release(journal)
    future.forge("workload.stop_requested", {"type": "workload.stop_requested", "name": 5})
    for _ in range(1_100):
        future.forge("call.read", {"type": "call.read", "method": "Test.Get"}, "may")
    keep(journal, future.entries)
    capsule.start()
    info = capsule.ctl("capsule", "info")
    assert "damaged" in info.stderr and "workload.stop_requested" in info.stderr
    assert capsule.good("list", "-o", "name") == "runs\n"
    refused = capsule.ctl("apply", "-f", "-", stdin=manifest("more", SERVE))
    assert refused.returncode == 1 and "nothing can be changed" in refused.stderr
    assert json.loads(capsule.good("get", "runs", "-o", "json"))["status"]["phase"] == "WORKLOAD_PHASE_RUNNING"
    assert isinstance(capsule.process, subprocess.Popen) and capsule.process.poll() is None

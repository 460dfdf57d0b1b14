"""A dry run writes nothing: not a byte of the state directory, not into the audit stream, not a sealed value."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import SERVE, Daemon, daemon, manifest

pytestmark = pytest.mark.real

# LMDB's table of readers, where a reader writes its slot; containerd's index, whose garbage collection has its own clock.
OTHERS = ("lock.mdb", "meta.db")


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.apply(manifest("runs", SERVE, env={"A": "1"}), "--wait")
        made.apply(manifest("stopped", SERVE), "--wait")
        made.good("stop", "stopped", "--wait")
        made.apply(manifest("loops", "exit 3"))
        made.until(lambda: made.status("loops").get("run", 0) >= 2, "it is in its back-off")
        yield made


def settled(capsule: Daemon) -> dict[str, bytes]:
    """Every file's bytes, once two looks a flush of the audit stream apart are the same."""

    def look() -> dict[str, bytes]:
        found = {}
        for path in sorted(capsule.state.rglob("*")):
            if path.is_file() and path.name not in OTHERS:
                found[str(path.relative_to(capsule.state))] = path.read_bytes()
        return found

    seen = [look()]

    def same() -> bool:
        import time

        time.sleep(1.2)  # longer than the audit stream keeps anything back
        seen.append(look())
        return seen[-1] == seen[-2]

    capsule.until(same, "the state directory is at rest", seconds=60)
    return seen[-1]


def test_no_dry_run_writes_a_byte(capsule: Daemon) -> None:
    capsule.good("stop", "loops", "--wait")  # its next run would write
    before = settled(capsule)
    secret = {"A": "never-sealed"}
    done: list[subprocess.CompletedProcess[str]] = []
    for manifests in (
        manifest("new", SERVE, env=secret),
        manifest("runs", SERVE, env=secret),
        manifest("stopped", SERVE),
        manifest("runs", SERVE, image="nowhere:1"),
        manifest("Bad Name", SERVE),
        manifest("runs", SERVE, env={"A": "1"}),
    ):
        done.append(capsule.ctl("apply", "-f", "-", "--dry-run", stdin=manifests))
        done.append(capsule.ctl("diff", "-f", "-", stdin=manifests))
    for verb, name in (
        ("stop", "runs"),
        ("start", "stopped"),
        ("restart", "runs"),
        ("delete", "runs"),
        ("stop", "nobody"),
        ("restart", "stopped"),
    ):
        done.append(capsule.ctl(verb, name, "--dry-run"))
    after = settled(capsule)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == set(), changed
    assert {one.returncode for one in done} == {0, 1, 2} and not any("Traceback" in one.stderr for one in done)
    out = "".join(one.stdout for one in done)
    for goal in ("StartRun", "StopRun", "created (dry run)", "configured (dry run)", "unchanged (dry run)"):
        assert goal in out, goal
    assert "never-sealed" not in out


def test_a_dry_run_disturbs_no_back_off(capsule: Daemon) -> None:
    capsule.good("start", "loops")
    capsule.until(lambda: capsule.status("loops").get("phaseDetail") in ("backoff", "crash-loop"), "it waits")
    before = capsule.status("loops")
    for _ in range(2):
        capsule.ctl("restart", "loops", "--dry-run")
        capsule.ctl("apply", "-f", "-", "--dry-run", stdin=manifest("loops", "exit 3", user="web"))
    after = capsule.status("loops")
    if after["run"] == before["run"]:  # its time may have come meanwhile; then it began a run of its own accord
        assert after["nextRetryUnixNs"] == before["nextRetryUnixNs"]
    capsule.good("stop", "loops", "--wait")
    told = [event["type"] for event in capsule.history("loops")]
    assert told.count("workload.restart_requested") == 0


def test_what_a_dry_run_shows_is_what_then_happens(capsule: Daemon, tmp_path: Path) -> None:
    text = manifest("foretold", SERVE)
    shown = capsule.ctl("apply", "-f", "-", "--dry-run", "-o", "json", stdin=text)
    import json

    (planned,) = json.loads(shown.stdout)["plan"]
    capsule.apply(text, "--wait")
    started = [event["body"] for event in capsule.history("foretold", "--type", "effect.started")]
    assert started[0]["effect"] == planned["effect"] == "StartRun"

"""Volumes under a real daemon: what is written survives whatever happens to daemon, runtime and workload."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import CAPSULED, Daemon, daemon

pytestmark = pytest.mark.real

COUNT = """trap 'exit 0' TERM
n=$(($(cat /data/n 2>/dev/null || echo 0) + 1)); echo $n > /data/n; echo "start $n"
while :; do sleep 1 & wait $!; done"""


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made


def volume(name: str, size: str = "32MiB") -> str:
    return json.dumps({"name": name, "kind": "Volume", "size": size})


def user(name: str, volume: str, script: str = COUNT, **mount: object) -> str:
    mounts = [{"volumeName": volume, "mountPath": "/data", **mount}]
    container = {"image": "demo:1", "command": ["sh", "-c", script], "networkMode": "NONE", "mounts": mounts}
    return json.dumps({"name": name, "kind": "Container", "container": {**container, "stopGraceSeconds": 2}})


def count(capsule: Daemon, name: str) -> int:
    capsule.until(lambda: capsule.good("logs", name), "it has written")
    return int(capsule.good("logs", name).split()[-1])


def test_volume_and_workload_are_declared_together_and_data_outlives_the_workload(capsule: Daemon) -> None:
    both = f"{volume('together')}\n---\n{user('first', 'together')}"
    assert "volume/together created" in capsule.apply(both, "--wait")
    assert "unchanged" in capsule.apply(both)
    assert count(capsule, "first") == 1
    capsule.good("delete", "first", "--yes")
    capsule.apply(user("second", "together"), "--wait")
    assert count(capsule, "second") == 2
    capsule.good("delete", "second", "--yes")
    capsule.good("volume", "delete", "together", "--yes")


def test_data_survives_kills_of_the_daemon_and_of_containerd(capsule: Daemon) -> None:
    capsule.apply(f"{volume('tough')}\n---\n{user('tough', 'tough')}", "--wait")
    before = capsule.status("tough")["pid"]
    capsule.kill()
    capsule.start()
    assert capsule.status("tough")["pid"] == before, "it has run on, on its volume"
    os.kill(before, signal.SIGKILL)
    capsule.until(lambda: capsule.status("tough").get("pid", before) != before, "another run")
    assert count(capsule, "tough") == 2
    capsule.good("delete", "tough", "--yes")
    capsule.good("volume", "delete", "tough", "--yes")


def test_one_workload_at_a_time_by_name_and_the_next_gets_it_when_it_stops(capsule: Daemon) -> None:
    capsule.apply(f"{volume('shared')}\n---\n{user('holder', 'shared')}", "--wait")
    refused = capsule.ctl("apply", "-f", "-", stdin=user("other", "shared"))
    assert refused.returncode == 1 and "which holder mounts" in refused.stderr
    capsule.good("stop", "holder", "--wait")
    capsule.apply(user("other", "shared"), "--wait")
    assert count(capsule, "other") == 2
    start = capsule.ctl("start", "holder")
    assert start.returncode == 1 and "which other mounts" in start.stderr
    capsule.good("delete", "holder", "other", "--yes")
    capsule.good("volume", "delete", "shared", "--yes")


def test_read_only_is_honoured(capsule: Daemon) -> None:
    script = "echo x > /data/x || echo refused; sleep 1000"
    capsule.apply(f"{volume('fixed')}\n---\n{user('reader', 'fixed', script, readOnly=True)}", "--wait")
    capsule.until(lambda: "refused" in capsule.good("logs", "reader"), "it could not write")
    capsule.good("delete", "reader", "--yes")
    capsule.good("volume", "delete", "fixed", "--yes")


def test_a_volume_of_the_same_name_never_serves_as_the_old_one(capsule: Daemon) -> None:
    capsule.apply(f"{volume('twice')}\n---\n{user('keeper', 'twice')}", "--wait")
    assert capsule.ctl("volume", "delete", "twice", "--yes").returncode == 1
    assert "taken from keeper" in capsule.ctl("volume", "delete", "twice", "--force", "--yes").stderr
    capsule.good("volume", "create", "twice", "32MiB")
    status = capsule.status("keeper")
    assert status["phaseDetail"] == "waiting" and "another one of the same name" in status["message"]
    capsule.apply(user("keeper", "twice"), "--wait")
    assert count(capsule, "keeper") == 1
    capsule.good("delete", "keeper", "--yes")
    capsule.good("volume", "delete", "twice", "--yes")


def test_sizes_are_refused_by_what_is_wrong_with_them(capsule: Daemon) -> None:
    capsule.good("volume", "create", "sized", "32MiB")
    for arguments, words in (
        (("create", "sized", "32MiB"), "exists already"),
        (("resize", "sized", "16MiB"), "cannot shrink"),
        (("create", "tiny", "1MiB"), "from 16MiB"),
        (("resize", "nowhere", "1GiB"), "there is no volume nowhere"),
    ):
        done = capsule.ctl("volume", *arguments)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    assert capsule.ctl("volume", "create", "bare", "32").returncode == 2
    capsule.good("volume", "delete", "sized", "--yes")
    capsule.good("volume", "delete", "sized", "--yes")


def test_nothing_is_left_mounted_when_all_is_deleted_or_halted() -> None:
    with daemon() as capsule:
        capsule.push_image()
        capsule.apply(f"{volume('left')}\n---\n{user('left', 'left')}", "--wait")
        assert any("volumes/left." in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
        capsule.stop()
        command = [CAPSULED, "--state", str(capsule.state), "--halt"]
        subprocess.run(command, check=True, capture_output=True)
        assert not any("volumes/left." in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
        assert str(capsule.state) not in subprocess.run(["losetup", "-a"], capture_output=True, text=True).stdout
        capsule.start()
        capsule.until(lambda: capsule.status("left")["phase"] == "WORKLOAD_PHASE_RUNNING", "it runs again")
        assert count(capsule, "left") == 2


def test_a_file_system_that_went_read_only_by_an_error_is_shown_and_a_restart_mends_it(capsule: Daemon) -> None:
    capsule.apply(f"{volume('sick')}\n---\n{user('sick', 'sick')}", "--wait")
    assert count(capsule, "sick") == 1
    (path,) = (
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if "volumes/sick." in line
    )
    source = subprocess.run(["findmnt", "-no", "SOURCE", path], check=True, capture_output=True, text=True).stdout
    os.sync()
    Path("/sys/fs/ext4", Path(source.strip()).name, "trigger_fs_error").write_text("a test's")
    assert "read-only" in capsule.good("volume", "list")
    assert "`capsulectl restart sick`" in capsule.good("volume", "get", "sick")
    assert "volume sick: its file system went read only" in capsule.ctl("capsule", "info").stderr
    capsule.good("restart", "sick", "--wait")
    capsule.until(lambda: "start 2" in capsule.good("logs", "sick"), "it writes again, on what it had")
    assert "went read only" not in capsule.ctl("capsule", "info").stderr
    capsule.good("delete", "sick", "--yes")
    capsule.good("volume", "delete", "sick", "--yes")


def test_a_snapshot_that_is_of_no_use_does_not_keep_the_volume_from_its_workload(capsule: Daemon) -> None:
    capsule.apply(f"{volume('rotten')}\n---\n{user('owner', 'rotten')}", "--wait")
    capsule.good("volume", "snapshot", "rotten", "old")
    capsule.good("stop", "owner", "--wait")
    capsule.good("volume", "resize", "rotten", "64MiB")
    capsule.good("start", "owner", "--wait")
    (snapshot,) = (capsule.state / "volumes").glob("rotten.*@*.img")
    with open(snapshot, "r+b") as file:
        file.seek(1024 + 0x3A)
        file.write(b"\x02\x00")  # its state: with errors, so all of it is looked at
        file.seek(2048)
        file.write(b"\xa5" * 4096)
    restored = capsule.ctl("volume", "restore", "rotten", "old", "--yes")
    assert restored.returncode == 1 and "damaged and cannot be mended by itself" in restored.stderr
    capsule.until(lambda: capsule.status("owner")["phase"] == "WORKLOAD_PHASE_RUNNING", "it goes on with what it had")
    assert count(capsule, "owner") >= 2
    capsule.good("volume", "snapshot-delete", "rotten", "old", "--yes")
    capsule.good("delete", "owner", "--yes")
    capsule.good("volume", "delete", "rotten", "--yes")


def test_what_a_killed_daemon_left_frozen_goes_on_also_under_one_that_changes_nothing() -> None:
    with daemon() as capsule:
        capsule.push_image()
        capsule.apply(f"{volume('cold')}\n---\n{user('cold', 'cold')}", "--wait")
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        (path,) = (line.split()[4] for line in lines if "volumes/cold." in line)
        capsule.kill()
        subprocess.run(["fsfreeze", "--freeze", path], check=True)
        try:
            capsule.start("--read-only")
            subprocess.run(["timeout", "10", "touch", f"{path}/thawed"], check=True)
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", path], check=False, capture_output=True)
        # And a halt, which needs no daemon at all.
        capsule.stop()
        subprocess.run(["fsfreeze", "--freeze", path], check=True)
        try:
            command = [CAPSULED, "--state", str(capsule.state), "--halt"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            assert not any("volumes/cold." in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
            assert str(capsule.state) not in subprocess.run(["losetup", "-a"], capture_output=True, text=True).stdout
        finally:
            if Path(path).is_mount():
                subprocess.run(["fsfreeze", "--unfreeze", path], check=False, capture_output=True)

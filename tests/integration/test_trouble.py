"""A running daemon and a journal in trouble: what is refused, what goes on, what an operator is told. With real faults."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsuled.layout import hosted
from tests.support.daemon import CAPSULED, SERVE, Daemon, daemon, manifest
from tests.support.small_disk import SmallDisk, declare, small_disk, use_up

pytestmark = pytest.mark.real


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    # A socket's path must be short: no directory of pytest's.
    with tempfile.TemporaryDirectory(prefix="capsule-disk-") as scratch, small_disk(Path(scratch)) as made:
        yield made


@pytest.fixture
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made


@pytest.fixture
def on_disk(disk: SmallDisk) -> Iterator[Daemon]:
    with daemon(state=disk.mount / "state") as made:
        made.push_image()
        yield made


def lives(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def shims(capsule: Daemon) -> list[str]:
    """What is left of containerd's own processes."""
    done = subprocess.run(
        ["pgrep", "-af", f"{hosted(capsule.state).run}/containerd.sock"], capture_output=True, text=True
    )
    return done.stdout.splitlines()


def serve(capsule: Daemon, *names: str) -> dict[str, int]:
    """Workloads that run, and their processes."""
    for name in names:
        capsule.apply(manifest(name, SERVE), "--wait")
    return {name: capsule.status(name)["pid"] for name in names}


def refused(capsule: Daemon, *arguments: str, stdin: str | None = None) -> str:
    """What an operator is told of a call that must not succeed."""
    done = capsule.ctl(*arguments, stdin=stdin)
    assert done.returncode != 0, f"{arguments} succeeded: {done.stdout}"
    return done.stderr


def test_a_full_disk_refuses_changes_by_name_and_lets_go_of_what_runs(disk: SmallDisk, on_disk: Daemon) -> None:
    capsule = on_disk
    pids = serve(capsule, "stays", "stops", "goes")
    disk.fill()
    told = use_up(capsule)
    assert "gives the journal no more space (No space left on device): nothing was changed" in told
    assert "Free space there" in capsule.ctl("capsule", "info").stderr

    # Reads answer, and what frees something is done and remembered: the reserve is for it.
    assert "ready" in capsule.good("logs", "stays") and "workload.started" in capsule.good("history", "stays")
    capsule.good("stop", "stops", "--wait")
    capsule.good("delete", "goes", "--yes")
    assert lives(pids["stays"]) and not lives(pids["stops"]) and not lives(pids["goes"])

    # Over a kill, too (what was promised of the disk is then what was taken of it, which may be less); and once there is
    # space again, nobody needs to start anything anew.
    capsule.kill()
    capsule.start()
    assert "no more space" in use_up(capsule)
    assert capsule.status("stops")["phase"] == "WORKLOAD_PHASE_STOPPED"
    disk.free()
    capsule.apply(manifest("more", SERVE), "--wait")
    assert "Free space" not in capsule.ctl("capsule", "info").stderr
    assert lives(pids["stays"]) and "yes" in capsule.good("journal", "verify")


def test_a_journal_that_fills_is_told_of_while_it_takes_everything_and_history_can_begin_later(
    on_disk: Daemon, tmp_path: Path
) -> None:
    def told() -> str:
        lines = on_disk.ctl("capsule", "info").stderr.splitlines()
        return next((line for line in lines if "of what its disk has" in line), "")

    for number in range(60):
        declare(on_disk, 10)
        if warning := told():
            break
        assert number < 59, "nobody is told"
    assert "the journal has taken 8" in warning and "journal truncate --before" in warning
    on_disk.apply(manifest("more", SERVE), "--wait")
    newest = json.loads(on_disk.good("history", "-n", "1", "-o", "json"))["seq"]
    archive = str(tmp_path / "old.capsule")
    on_disk.good("journal", "truncate", "--before", str(newest - 10), "--export", archive, "--yes")
    assert not told()
    on_disk.apply(manifest("other", SERVE), "--wait")


def test_a_disk_that_turns_read_only_leaves_a_daemon_that_can_be_asked_and_can_stop(
    disk: SmallDisk, on_disk: Daemon
) -> None:
    capsule = on_disk
    pids = serve(capsule, "stays", "stops")
    before = capsule.good("replay", "--verify")
    disk.fail()
    refused(capsule, "apply", "-f", "-", stdin=manifest("more", SERVE))
    # The same process goes on by itself, without what the failed write left in its memory.
    capsule.until(lambda: "read-only: " in capsule.ctl("capsule", "info").stderr, "it goes on read-only")
    told = refused(capsule, "apply", "-f", "-", stdin=manifest("more", SERVE))
    assert "the journal could not be written" in told and "Read-only file system" in told
    assert f"the state's disk is read-only ({capsule.state})" in capsule.ctl("capsule", "info").stderr
    check_read_only(capsule, pids, before)

    capsule.kill()
    capsule.start()
    assert "cannot be written: Read-only file system" in capsule.ctl("capsule", "info").stderr
    assert lives(pids["stays"]) and capsule.good("list", "-o", "name").split() == ["stays", "stops"]

    # And what runs can be ended, though there is no runtime to ask.
    capsule.kill()
    command = [CAPSULED, "--state", str(capsule.state), "--halt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout == "1 run ended\n" and not lives(pids["stays"])
    assert not hosted(capsule.state).run.exists() and not shims(capsule)


def check_read_only(capsule: Daemon, pids: dict[str, int], before: str) -> None:
    assert capsule.good("list", "-o", "name").split() == ["stays", "stops"]
    assert "ready" in capsule.good("logs", "stays") and "workload.started" in capsule.good("history", "stays")
    assert capsule.good("replay", "--verify").split()[1:7] == before.split()[1:7]
    assert "yes" in capsule.good("journal", "verify")
    capsule.good("journal", "export", str(capsule.scratch / "memory"))
    for verb in (["apply", "-f", "-"], ["delete", "stays", "--yes"], ["exec", "stays", "true"], ["start", "stops"]):
        assert "start capsuled again" in refused(capsule, *verb, stdin=manifest("more", SERVE))
    stopped = capsule.ctl("stop", "stops")
    assert stopped.returncode == 0 and "not remembered as desired state" in stopped.stderr
    capsule.until(lambda: not lives(pids["stops"]), "it was stopped")
    assert lives(pids["stays"])


def test_a_damaged_entry_ends_what_is_shown_and_nothing_that_runs(capsule: Daemon) -> None:
    pids = serve(capsule, "stays", "stops")
    last = capsule.history()[-1]["seq"]
    capsule.apply(manifest("later", SERVE), "--wait")
    capsule.kill()
    files = {name: (capsule.state / "journal" / name).read_bytes() for name in ("data.mdb", "front.log")}
    # The entry that declared `later`, in every copy that the front log and LMDB keep of it.
    for name, whole in files.items():
        (capsule.state / "journal" / name).write_bytes(whole.replace(b"later", b"l8ter"))
    capsule.start()
    told = capsule.ctl("capsule", "info").stderr
    assert "damaged" in told and f"as of entry {last}" in told and "capsulectl journal verify" in told
    assert capsule.good("list", "-o", "name").split() == ["stays", "stops"]
    assert capsule.history()[-1]["seq"] == last
    assert "is damaged" in refused(capsule, "apply", "-f", "-", stdin=manifest("more", SERVE))
    check_emergency(capsule, "stops", pids["stops"])
    assert lives(pids["stays"])

    capsule.kill()
    for name, whole in files.items():
        (capsule.state / "journal" / name).write_bytes(whole)
    capsule.start()
    (recovered,) = capsule.history("--type", "emergency.recovered")
    assert recovered["body"]["name"] == "stops" and recovered["body"]["action"] == "stop"


def check_emergency(capsule: Daemon, name: str, pid: int) -> None:
    stopped = capsule.ctl("stop", name)
    assert stopped.returncode == 0 and "not remembered as desired state" in stopped.stderr
    capsule.until(lambda: not lives(pid), "it was stopped")


def test_a_tail_that_was_cut_is_found_and_what_it_knew_still_obeys_a_stop(capsule: Daemon, tmp_path: Path) -> None:
    serve(capsule, "early")
    capsule.stop()
    for name in ("data.mdb", "front.log"):
        shutil.copy(capsule.state / "journal" / name, tmp_path / name)
    capsule.start()
    pids = serve(capsule, "late")
    capsule.stop()
    for name in ("data.mdb", "front.log"):
        shutil.copy(tmp_path / name, capsule.state / "journal" / name)
    capsule.start()
    assert "the tail is cut" in capsule.ctl("capsule", "info").stderr
    assert capsule.good("list", "-o", "name") == "early\n"
    check_emergency(capsule, "late", pids["late"])


def test_a_truncated_file_is_damage_and_names_are_enough_to_stop(capsule: Daemon) -> None:
    pids = serve(capsule, "runs")
    capsule.kill()
    data = capsule.state / "journal" / "data.mdb"
    with data.open("r+b") as file:
        file.truncate(3 * 4096)
    capsule.start()
    assert "damaged" in capsule.ctl("capsule", "info").stderr
    assert "damaged" in refused(capsule, "history") and lives(pids["runs"])
    for read in (["list"], ["get", "runs"], ["logs", "runs"], ["wait", "runs"], ["volume", "list"], ["list", "-w"]):
        told = refused(capsule, *read)
        assert "nothing can be told" in told and "journal verify" in told, read
    assert "nothing of that name runs" in refused(capsule, "stop", "nobody")
    check_emergency(capsule, "runs", pids["runs"])


def test_what_the_file_systems_check_found_stops_nothing_but_a_new_journal_in_place_of_one_that_it_may_be(
    capsule: Daemon,
) -> None:
    pids = serve(capsule, "stays", "runs")
    capsule.kill()
    journal = capsule.state / "journal"
    (journal / "lost+found").mkdir()
    (journal / "lost+found/#13").touch()
    capsule.start()
    assert "damaged" not in capsule.ctl("capsule", "info").stderr and lives(pids["runs"])
    capsule.kill()
    (journal / "data.mdb").rename(journal / "lost+found/#14")
    capsule.start()
    told = capsule.ctl("capsule", "info").stderr
    assert "damaged" in told and "no new one is begun" in told
    check_emergency(capsule, "runs", pids["runs"])
    assert lives(pids["stays"]) and not (journal / "data.mdb").exists()
    capsule.kill()
    command = [CAPSULED, "--state", str(capsule.state), "--halt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout == "1 run ended\n" and not lives(pids["stays"])
    (journal / "lost+found/#14").rename(journal / "data.mdb")
    capsule.start()
    assert sorted(capsule.good("list", "-o", "name").split()) == ["runs", "stays"]


def test_a_runtime_that_does_not_come_up_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "containerd"
    broken.write_text("#!/bin/sh\necho 'containerd: exec format error' >&2\nexit 1\n")
    broken.chmod(0o755)
    with daemon(inside=("env", f"PATH={tmp_path}:{os.environ['PATH']}")) as capsule:
        told = refused(capsule, "apply", "-f", "-", stdin=manifest("web", SERVE))
        away = "containerd does not answer, and is started again by itself; if it stays away, `capsulectl capsule logs` tells"
        assert told == f"capsulectl: {away}\n"
        assert "containerd not up (`capsulectl capsule logs` tells, if it stays so)" in capsule.good("capsule", "info")
        capsule.until(lambda: "containerd has not answered for" in capsule.ctl("capsule", "info").stderr, "it is told")
        logs = capsule.good("capsule", "logs", "--level", "warning")
        assert "containerd ended with 1 (containerd: exec format error); started again in " in logs
        assert capsule.good("list", "-o", "name") == ""


def test_who_gives_a_command_waits_for_a_runtime_that_is_just_starting(tmp_path: Path) -> None:
    late = tmp_path / "containerd"
    late.write_text(f'#!/bin/sh\nsleep 1.5\nexec {shutil.which("containerd")} "$@"\n')
    late.chmod(0o755)
    with daemon(inside=("env", f"PATH={tmp_path}:{os.environ['PATH']}")) as capsule:
        capsule.push_image()
        capsule.apply(manifest("web", SERVE), "--wait")
        assert capsule.stop() == 0
        capsule.start()
        assert capsule.good("exec", "web", "echo", "here") == "here\n"


def test_a_foreign_directory_is_left_as_it_is(tmp_path: Path) -> None:
    journal = tmp_path / "state" / "journal"
    journal.mkdir(parents=True)
    (journal / "photo.jpg").write_text("mine")
    told = start_in_vain(tmp_path / "state")
    assert "holds photo.jpg, which is not the journal's" in told
    assert [path.name for path in (tmp_path / "state").rglob("*")] == ["journal", "photo.jpg"]


def test_a_second_daemon_disturbs_nothing_of_the_first(capsule: Daemon) -> None:
    pids = serve(capsule, "runs")
    runtime, pid = capsule.containerd_pid(), (capsule.state / "capsuled.pid").read_text()
    assert "another capsuled has" in start_in_vain(capsule.state)
    assert capsule.containerd_pid() == runtime and (capsule.state / "capsuled.pid").read_text() == pid
    assert capsule.good("exec", "runs", "--", "echo", "here") == "here\n" and lives(pids["runs"])


def start_in_vain(state: Path) -> str:
    """What a daemon says that does not start."""
    command = [CAPSULED, "--state", str(state), "--listen", "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    return done.stderr


def test_a_daemon_that_was_started_read_only_says_so_and_writes_nothing(capsule: Daemon) -> None:
    serve(capsule, "runs")
    capsule.stop()
    before = (capsule.state / "journal" / "data.mdb").read_bytes()
    capsule.start("--read-only")
    assert "it was started with --read-only" in refused(capsule, "delete", "runs", "--yes")
    assert capsule.good("list", "-o", "name") == "runs\n"
    assert capsule.stop() == 0
    assert (capsule.state / "journal" / "data.mdb").read_bytes() == before

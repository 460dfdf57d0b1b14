"""What runc's directory says of a birth, and what a killed containerd leaves behind."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from effects.containerd.config import paths_under
from effects.containerd.leftovers import end_idle_shims, orphans, sweep
from effects.containers.birth import Births

CREATED_NS = 1_700_000_000_000_000_000


def container(root: Path, gate_ns: int | None) -> None:
    """runc's directory of a container; `gate_ns` is when its gate was last written to, None where it is gone."""
    directory = root / "capsule" / "web.7.1"
    directory.mkdir(parents=True)
    (directory / "state.json").touch()
    os.utime(directory / "state.json", ns=(CREATED_NS, CREATED_NS))
    if gate_ns is not None:
        os.mkfifo(directory / "exec.fifo")
        os.utime(directory / "exec.fifo", ns=(gate_ns, gate_ns))


def test_a_process_is_held_until_its_gate_was_written_to(tmp_path: Path) -> None:
    container(tmp_path, CREATED_NS - 1_000_000)
    births = Births(tmp_path)
    assert births.held("web.7.1") and births.known("web.7.1")
    births.complete("web.7.1")
    assert births.held("web.7.1"), "a process that still waits must not lose its gate"


def test_a_process_that_was_let_go_and_whose_start_was_cut_loses_its_gate(tmp_path: Path) -> None:
    container(tmp_path, CREATED_NS + 20_000_000)
    births = Births(tmp_path)
    assert not births.held("web.7.1")
    births.complete("web.7.1")
    assert not (tmp_path / "capsule" / "web.7.1" / "exec.fifo").exists() and not births.held("web.7.1")


def test_without_a_gate_or_a_container_nothing_is_held(tmp_path: Path) -> None:
    container(tmp_path, None)
    births = Births(tmp_path)
    assert not births.held("web.7.1") and births.known("web.7.1")
    assert not births.held("db.8.1") and not births.known("db.8.1")


def test_directories_that_a_killed_containerd_left_are_removed_and_no_others(tmp_path: Path) -> None:
    paths = paths_under(tmp_path / "containerd", tmp_path / "run")
    tasks = paths.state / "io.containerd.runtime.v2.task" / "capsule"
    for name in (".removed.7.1", "dead.7.1", "alive.7.1", "whole.7.1"):
        (tasks / name / "rootfs").mkdir(parents=True)
        (tasks / name / "config.json").touch()
    (tasks / "whole.7.1" / "runtime").write_text("io.containerd.runc.v2")
    (tasks / "dead.7.1" / "address").write_text(f"unix://{tmp_path}/gone")
    with socket.socket(socket.AF_UNIX) as shim:
        shim.bind(str(tmp_path / "shim"))
        shim.listen()
        (tasks / "alive.7.1" / "address").write_text(f"unix://{tmp_path}/shim")
        sweep(paths)
    assert sorted(os.listdir(tasks)) == ["alive.7.1", "whole.7.1"]
    sweep(paths)
    assert sorted(os.listdir(tasks)) == ["whole.7.1"]


def test_a_shim_whose_queue_is_full_is_there_and_nobody_waits_for_it(tmp_path: Path) -> None:
    paths = paths_under(tmp_path / "containerd", tmp_path / "run")
    task = paths.state / "io.containerd.runtime.v2.task" / "capsule" / "alive.7.1"
    task.mkdir(parents=True)
    (task / "address").write_text(f"unix://{tmp_path}/shim")
    with socket.socket(socket.AF_UNIX) as shim, ExitStack() as waiting:
        shim.bind(str(tmp_path / "shim"))
        shim.listen(0)
        with suppress(BlockingIOError):
            while True:
                one = waiting.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect(str(tmp_path / "shim"))
        sweeping = threading.Thread(target=sweep, args=(paths,), daemon=True)
        sweeping.start()
        sweeping.join(10)
        assert not sweeping.is_alive() and task.exists()


def test_a_file_system_that_is_still_there_is_not_emptied(tmp_path: Path) -> None:
    paths = paths_under(tmp_path / "containerd", tmp_path / "run")
    left = paths.state / "io.containerd.runtime.v2.task" / "capsule" / ".web.7.1" / "rootfs"
    left.mkdir(parents=True)
    (left / "data").write_text("somebody's")
    sweep(paths)
    assert (left / "data").read_text() == "somebody's"


def test_the_runtimes_own_process_is_told_from_a_program(tmp_path: Path) -> None:
    (tmp_path / "init").write_text("echo up\nread word\n")
    for argv, unborn in ((["runc", "init"], True), (["sh", "init"], False)):
        child = subprocess.Popen(
            argv, executable="/bin/sh", cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert child.stdout is not None and child.stdout.readline() == b"up\n"
            assert Births.unborn(child.pid) is unborn
        finally:
            child.kill()
            child.communicate()
        assert not Births.unborn(child.pid)


@contextmanager
def shim(directory: Path, address: str, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a shim of a task in this directory."""
    directory.mkdir(parents=True)
    argv = ["/usr/bin/containerd-shim-runc-v2", "-c", script, "-namespace", "capsule", "-address", address]
    process = subprocess.Popen(argv, executable="/bin/sh", cwd=directory, stdin=subprocess.PIPE, process_group=0)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until_it_watches(shim: subprocess.Popen[bytes]) -> None:
    """Until its child is a program of its own: before that it looks like a second, idle shim."""
    deadline = time.monotonic() + 10
    while not any(command.startswith(b"sleep\0") for command in children_of(shim.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children_of(pid: int) -> list[bytes]:
    """Their command lines."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]


def test_a_shim_whose_task_was_removed_under_it_is_ended_and_no_other(tmp_path: Path) -> None:
    paths = paths_under(tmp_path / "containerd", tmp_path / "run")
    mine, idle, tasks = str(paths.address), "read x", tmp_path / "tasks"
    with (
        shim(tasks / "gone", mine, idle) as gone,
        shim(tasks / "watching", mine, "sleep 60 & wait") as watching,
        shim(tasks / "theirs", "/run/containerd/containerd.sock", idle) as theirs,
        shim(tasks / "here", mine, idle) as here,
    ):
        for name in ("gone", "watching", "theirs"):
            (tasks / name).rmdir()
        until_it_watches(watching)
        assert orphans(paths) == (gone.pid,)
        sweep(paths)
        assert gone.wait(10) == -signal.SIGKILL
        assert [one.poll() for one in (watching, theirs, here)] == [None, None, None]


def test_when_nothing_is_to_run_any_more_every_shim_that_watches_over_nothing_is_ended(tmp_path: Path) -> None:
    paths = paths_under(tmp_path / "containerd", tmp_path / "run")
    mine, idle, tasks = str(paths.address), "read x", tmp_path / "tasks"
    with (
        shim(tasks / "here", mine, idle) as here,
        shim(tasks / "watching", mine, "sleep 60 & wait") as watching,
        shim(tasks / "theirs", "/run/containerd/containerd.sock", idle) as theirs,
    ):
        until_it_watches(watching)
        end_idle_shims(paths)
        assert here.wait(10) == -signal.SIGKILL
        assert [one.poll() for one in (watching, theirs)] == [None, None]

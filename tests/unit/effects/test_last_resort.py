"""Ending a container's process without containerd: the right one, asked first."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects.containers.last_resort import LastResort
from tests.support.programs import running

TICKS = 19


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    made = subprocess.Popen(["sleep", "60"])
    yield made
    made.kill()
    made.wait()


def began(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[TICKS])


def container(root: Path, cid: str, pid: int, start: int) -> None:
    directory = root / "capsule" / cid
    directory.mkdir(parents=True)
    (directory / "state.json").write_text(json.dumps({"init_process_pid": pid, "init_process_start": start, "id": cid}))


def stop(root: Path, name: str, uid: int = 0, grace_ms: int = 5_000) -> int:
    return asyncio.run(LastResort(root).stop(name, uid, grace_ms))


def test_a_run_is_ended_by_its_name(tmp_path: Path, process: "subprocess.Popen[bytes]") -> None:
    container(tmp_path, "web.7.3", process.pid, began(process.pid))
    assert stop(tmp_path, "other") == stop(tmp_path, "we") == stop(tmp_path, "web", uid=8) == 0
    assert process.poll() is None
    assert stop(tmp_path, "web") == 1
    assert process.wait() == -15
    assert stop(tmp_path, "web") == 0


def test_another_process_with_the_number_is_not_hit(tmp_path: Path, process: "subprocess.Popen[bytes]") -> None:
    container(tmp_path, "web.7.3", process.pid, began(process.pid) - 1)
    assert stop(tmp_path, "web") == 0 and process.poll() is None


def test_one_that_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    with running(["sh", "-c", script], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None and stubborn.stdout.readline() == b"ready\n"
        container(tmp_path, "web.7.3", stubborn.pid, began(stubborn.pid))
        assert stop(tmp_path, "web", grace_ms=50) == 1
        assert stubborn.wait() == -9


def test_a_long_name_alone_does_not_say_whose_runs_are_meant(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    name = "a" * 50
    container(tmp_path, f"{name[:40]}.7.3", process.pid, began(process.pid))
    assert stop(tmp_path, name) == 0 and process.poll() is None
    assert stop(tmp_path, name, uid=7) == 1


def test_everything_is_ended_and_what_is_half_made_is_passed_over(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    container(tmp_path, "web.one.7.3", process.pid, began(process.pid))
    (tmp_path / "capsule" / "half.8.1").mkdir()
    asked: list[str] = []

    def grace_ms(name: str) -> int:
        asked.append(name)
        return 5_000

    assert asyncio.run(LastResort(tmp_path).stop_all(grace_ms)) == 1
    assert process.wait() == -15 and sorted(asked) == ["half", "web.one"]
    assert asyncio.run(LastResort(tmp_path / "nothing").stop_all(grace_ms)) == 0

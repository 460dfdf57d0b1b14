"""Ending a container's process without containerd: the right one, asked first."""

import asyncio
import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects.containers import last_resort
from effects.containers.last_resort import Ends, LastResort
from effects.errors import StartFailed
from tests.support.hanging import hanging
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


def container(root: Path, cid: str, pid: int, start: int, *labels: str) -> None:
    directory = root / "capsule" / cid
    directory.mkdir(parents=True)
    state = {"init_process_pid": pid, "init_process_start": start, "id": cid, "config": {"labels": labels}}
    (directory / "state.json").write_text(json.dumps(state))


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


def test_it_is_asked_with_its_own_signal(tmp_path: Path, process: "subprocess.Popen[bytes]") -> None:
    container(tmp_path, "web.7.3", process.pid, began(process.pid), "bundle=/b", "capsule.stop-signal=10")
    assert stop(tmp_path, "web") == 1
    assert process.wait() == -signal.SIGUSR1


def test_who_uses_another_ends_before_it(tmp_path: Path, process: "subprocess.Popen[bytes]") -> None:
    script = "trap 'sleep 0.2; exit' TERM; echo ready; while :; do sleep 0.01; done"
    with running(["sh", "-c", script], stdout=subprocess.PIPE) as user:
        assert user.stdout is not None and user.stdout.readline() == b"ready\n"
        container(tmp_path, "db.7.3", process.pid, began(process.pid))
        container(tmp_path, f"{'a' * 40}.8.3", user.pid, began(user.pid))
        alive: dict[str, list[bool]] = {}

        def grace_ms(stem: str) -> int:
            alive[stem] = [one.poll() is None for one in (user, process)]
            return 5_000

        needs = {"a" * 40 + "1": ("db",), "a" * 40 + "2": ("a" * 40 + "1",)}
        assert asyncio.run(LastResort(tmp_path).stop_all(grace_ms, needs)) == Ends(2)
        assert alive == {"a" * 40: [True, True], "db": [False, True]}


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

    assert asyncio.run(LastResort(tmp_path).stop_all(grace_ms)) == Ends(1)
    assert process.wait() == -15 and sorted(asked) == ["half", "web.one"]
    assert asyncio.run(LastResort(tmp_path / "nothing").stop_all(grace_ms)) == Ends()


def test_one_that_does_not_listen_is_killed_once_nobody_wants_to_wait(tmp_path: Path) -> None:
    async def main(pid: int) -> Ends:
        hurry = asyncio.Event()
        container(tmp_path, "web.7.3", pid, began(pid))
        asyncio.get_running_loop().call_later(0.05, hurry.set)
        async with asyncio.timeout(10):
            return await LastResort(tmp_path).stop_all(lambda _: 60_000, hurry=hurry)

    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    with running(["sh", "-c", script], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None and stubborn.stdout.readline() == b"ready\n"
        assert asyncio.run(main(stubborn.pid)) == Ends(1)
        assert stubborn.wait() == -9


def test_one_that_hangs_in_the_kernel_is_told_and_holds_up_nobody_else(
    tmp_path: Path,
    process: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running(["sleep", "60"]) as other:
        container(tmp_path, "web.one.7.3", process.pid, began(process.pid))
        container(tmp_path, "db.8.1", other.pid, began(other.pid))
        hanging(monkeypatch, process.pid, last_resort)
        assert asyncio.run(LastResort(tmp_path).stop_all(lambda _: 50)) == Ends(1, ("web.one",))
        assert other.wait() == -15 and process.poll() is None
    assert "web.one.7.3 does not end although it was killed" in caplog.text


def test_an_emergency_stop_says_so_when_one_hangs_and_the_others_end(
    tmp_path: Path, process: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(["sleep", "60"]) as other:
        container(tmp_path, "web.7.3", process.pid, began(process.pid))
        container(tmp_path, "web.7.4", other.pid, began(other.pid))
        hanging(monkeypatch, process.pid, last_resort)
        with pytest.raises(StartFailed, match="may hang in the kernel"):
            stop(tmp_path, "web", grace_ms=50)
        assert other.wait() == -15


def test_the_shim_goes_also_of_one_that_ended_just_before_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "containerd-shim"
    shim.symlink_to("/bin/sh")
    send = signal.pidfd_send_signal

    def sent(process: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            send(process, signal.SIGKILL)
        while Path(f"/proc/{first}").exists():
            time.sleep(0.01)
        send(process, number)

    script = "sleep 60 & echo $!; wait; while :; do sleep 1; done"
    with running([shim, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        first = int(parent.stdout.readline())
        container(tmp_path, "web.7.3", first, began(first))
        monkeypatch.setattr(signal, "pidfd_send_signal", sent)
        assert asyncio.run(LastResort(tmp_path).stop_all(lambda _: 5_000)) == Ends(1)
        assert parent.wait(5) == -signal.SIGKILL

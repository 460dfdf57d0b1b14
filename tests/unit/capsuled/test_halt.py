"""Ending all that runs: what cannot be ended keeps nothing else from its turn, and is not told to have ended."""

import asyncio
import logging
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from capsuled import __main__ as program
from capsuled import halt as halting
from capsuled.emergency import HALT, recovered
from capsuled.halt import Graces, end_all, end_each, living, note
from capsuled.layout import Layout
from capsuled.settings import Settings
from effects.containers.last_resort import Ends, LastResort
from effects.errors import RuntimeUnavailable, StartFailed
from journal.clock import SystemClock
from journal.events import EmergencyRecovered, MachineHalted
from journal.sidelog import Emergency, SideLog
from projections.observations import ObservedRun
from projections.state import Workload
from tests.support.programs import running
from tests.support.story import Story, declared
from tests.support.until import until
from tests.unit.effects.test_last_resort import began, container

HANGS = StartFailed("the process does not end although it was killed: it may hang in the kernel")
HERE = SystemClock().boot_id


class Runtime:
    """Runs, of which some hang in the kernel. `done` is what was done, in order; whoever is asked nicely takes a
    moment."""

    def __init__(self, *names: str, hang: tuple[str, ...] = (), late: bool = False, silent: bool = False) -> None:
        self.runs = [ObservedRun(name, 7, 7, 1, "running", 100) for name in names]
        self.hang, self.late, self.silent = hang, late, silent
        self.done: list[str] = []

    async def observe(self) -> tuple[ObservedRun, ...]:
        if self.silent:
            raise RuntimeUnavailable("containerd does not answer")
        return tuple(self.runs)

    async def stop(self, name: str, uid: int, run: int, grace_ms: int) -> None:
        if name in self.hang:
            raise HANGS
        await asyncio.sleep(0.01)
        self.done.append(f"{name} ended")

    async def remove_run(self, name: str, uid: int, run: int) -> None:
        if name in self.hang and not self.late:
            raise HANGS
        await asyncio.sleep(0.01)
        self.done.append(f"{name} removed")


def using() -> Mapping[str, Workload]:
    """web uses api, and api uses db."""
    story = Story()
    story.apply(declared("db"), declared("api", depends_on=("db",)), declared("web", depends_on=("api",)))
    return story.machine.workloads


def ended(known: Mapping[str, Workload], **drivers: Any) -> tuple[int, bool]:
    having: Any = drivers
    return asyncio.run(end_all(having, known, Graces(known, 60.0, asyncio.Event())))


def test_who_uses_another_ends_before_it() -> None:
    runtime = Runtime("db", "api", "web")
    assert ended(using(), container=runtime) == (3, True)
    assert runtime.done[:3] == ["web ended", "api ended", "db ended"]
    assert sorted(runtime.done[3:]) == ["api removed", "db removed", "web removed"]


def test_one_that_hangs_keeps_nobody_of_its_turn_or_a_later_one_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    runtime = Runtime("db", "api", "web", "beside", hang=("web",))
    with caplog.at_level(logging.ERROR):
        assert ended(using(), container=runtime) == (3, False)
    assert sorted(runtime.done[:3]) == ["api ended", "beside ended", "db ended"]
    assert sorted(runtime.done[3:]) == ["api removed", "beside removed", "db removed"]
    assert "run 1 of web cannot be ended: the process does not end" in caplog.text


def test_one_that_has_ended_by_the_time_it_is_removed_is_not_left() -> None:
    assert ended(using(), container=Runtime("db", "web", hang=("web",), late=True)) == (2, True)


def test_a_runtime_that_does_not_answer_keeps_no_other_from_ending_its_runs(caplog: pytest.LogCaptureFixture) -> None:
    machines = Runtime("db", "api")
    with caplog.at_level(logging.ERROR):
        assert ended(using(), container=Runtime(silent=True), microvm=machines) == (2, False)
    assert machines.done[:2] == ["api ended", "db ended"]
    assert "which containers run cannot be seen: containerd does not answer" in caplog.text


class Patient(Runtime):
    """Runs that end when they are killed, and not before."""

    async def stop(self, name: str, uid: int, run: int, grace_ms: int) -> None:
        if grace_ms:
            self.done.append(f"{name} asked")
            await asyncio.sleep(60)
        self.done.append(f"{name} ended")


def test_whoever_hurries_a_halt_waits_for_nobody_who_was_asked_and_asks_nobody_else() -> None:
    async def main() -> tuple[int, bool]:
        hurry, known = asyncio.Event(), using()
        runtime = Patient("db", "api", "web")
        drivers: Any = {"container": runtime}
        halting = asyncio.ensure_future(end_all(drivers, known, Graces(known, 60.0, hurry)))
        await until(lambda: runtime.done)
        hurry.set()
        async with asyncio.timeout(5):
            outcome = await halting
        assert runtime.done[:4] == ["web asked", "web ended", "api ended", "db ended"]
        return outcome

    assert asyncio.run(main()) == (3, True)


def end_by_both(runtime: Runtime, root: Path) -> int:
    """How many were ended, by the runtime and then without it; each has half a minute."""
    drivers: Any = {"container": runtime}
    graces, last_resort = Graces({}, 30.0, asyncio.Event()), LastResort(root)
    return asyncio.run(end_each(drivers, {}, graces, lambda: last_resort.stop_all(graces.of)))


@pytest.mark.parametrize("runtime", [Runtime(silent=True), Runtime("web", hang=("web",))], ids=["unseen", "withstands"])
def test_what_its_runtime_cannot_end_is_asked_without_it_and_is_not_left(runtime: Runtime, tmp_path: Path) -> None:
    with running(["sleep", "60"]) as process:
        container(tmp_path, "web.7.1", process.pid, began(process.pid))
        assert living(LastResort(tmp_path), Ends()) == "web"
        assert end_by_both(runtime, tmp_path) == 1
        assert process.wait() == -signal.SIGTERM, "it was asked, and not only killed"
        assert living(LastResort(tmp_path), Ends()) == ""


def test_nobody_is_ended_without_a_runtime_that_can_end_them_all(tmp_path: Path) -> None:
    with running(["sleep", "60"]) as process:
        container(tmp_path, "other.9.1", process.pid, began(process.pid))
        assert end_by_both(Runtime("db", "web"), tmp_path) == 2 and process.poll() is None


def test_left_is_what_lives_when_all_was_done_and_not_what_withstood_before(tmp_path: Path) -> None:
    assert end_by_both(Runtime("web", hang=("web",)), tmp_path) == 0
    assert living(LastResort(tmp_path), Ends(1)) == "", "by its cgroup it was killed"
    assert living(LastResort(tmp_path), Ends(0, ("web",))) == "web"


def noted(tmp_path: Path, left: str) -> Emergency:
    note(tmp_path / "side.log", left)
    side_log = SideLog(tmp_path / "side.log")
    (one,) = side_log.records()
    side_log.close()
    return one


def test_the_next_daemon_is_told_of_a_halt_in_this_boot_and_in_the_next(tmp_path: Path) -> None:
    one = noted(tmp_path, "")
    for boot in (HERE, "another"):
        assert list(recovered([one], boot)) == [MachineHalted(one.at, HERE)]


def test_what_lives_on_is_not_told_to_have_ended_before_the_machine_has(tmp_path: Path) -> None:
    one, stop = noted(tmp_path, "web"), Emergency("stop", "web", 7, 5)
    assert one.action == HALT
    assert list(recovered([one, stop], HERE)) == [EmergencyRecovered("stop", "web", 7, 5)]
    assert list(recovered([one], "another")) == [MachineHalted(one.at, HERE)]


class Network:
    """None."""

    def __init__(self, *_: object) -> None: ...

    async def stands(self) -> bool:
        return False

    async def close(self) -> None: ...


class Withstanding(LastResort):
    """Runs that live whatever is done."""

    lives: tuple[str, ...] = ()

    def living(self) -> tuple[str, ...]:
        return self.lives


@pytest.mark.parametrize(
    ("lives", "mounts", "code", "words"),
    [
        ((), (), 0, ""),
        (("web",), ("/run/capsule/x/volumes/data.3",), 1, "not everything did: web lives on, although it was killed"),
        ((), ("/run/capsule/x/volumes/data.3",), 1, "/run/capsule/x/volumes/data.3 cannot be unmounted"),
    ],
)
def test_a_halt_that_leaves_something_says_what_and_fails(
    lives: tuple[str, ...],
    mounts: tuple[str, ...],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    layout = Layout(tmp_path, tmp_path / "run")
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(Withstanding, "lives", lives)
    monkeypatch.setattr(halting, "LastResort", Withstanding)
    monkeypatch.setattr(halting, "linux_network", Network)
    monkeypatch.setattr(halting, "mounted_below", lambda directory: mounts)
    assert asyncio.run(program._halt(layout, Settings(), tmp_path / "log", 1.0)) == code
    said = capsys.readouterr()
    assert words in said.err and ("nothing ran any more" in said.out) == (not code)
    assert (tmp_path / "run").exists() == bool(code), "by it what stays is found"

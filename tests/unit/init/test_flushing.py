"""A machine's end on a slow disk, and on one that hangs."""

import time
from pathlib import Path

import pytest

from init import main
from init.ending import in_a_child
from init.flushing import Flushing
from init.main import Init


def meminfo(kib: int) -> str:
    """The kernel's word, with so much that is not on a disk yet."""
    return f"MemFree: 5 kB\nDirty: {kib // 2} kB\nWriteback: {kib - kib // 2} kB\nWritebackTmp: {99 - kib} kB\n"


class Watchdog:
    """Counts how often it was petted."""

    runs = True
    pets = 0

    def pet(self) -> None:
        self.pets += 1


def test_it_falls_from_look_to_look_or_it_does_not(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    flushing = Flushing(20.0, str(file))
    for now, kib, falls in ((100, 900, False), (120, 800, True), (140, 800, False), (160, 850, False), (180, 10, True)):
        file.write_text(meminfo(kib))
        assert flushing.falls(now) is falls, now


def test_between_two_looks_the_last_one_holds(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    flushing = Flushing(20.0, str(file))
    for now, kib in ((100, 900), (120, 800)):
        file.write_text(meminfo(kib))
        flushing.falls(now)
    assert flushing.falls(139)
    assert not flushing.falls(140)


def test_the_watchdog_is_petted_behind_the_loop_while_the_disk_gets_on_and_not_while_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, watchdog = tmp_path / "meminfo", Watchdog()
    monkeypatch.setattr(main, "Flushing", lambda _: Flushing(0.0, str(file)))
    monkeypatch.setattr(main, "Watchdog", lambda: watchdog)
    pid_1 = Init(())
    petted = []
    for kib in (900, 800, 700, 700, 700):
        file.write_text(meminfo(kib))
        pid_1.hold()
        petted.append(watchdog.pets)
    assert petted == [0, 1, 2, 2, 2]


def test_what_waits_for_the_disk_is_no_wait_of_pid_1s_own(tmp_path: Path) -> None:
    held: list[float] = []

    def waits() -> None:
        while not (tmp_path / "written").exists():
            time.sleep(0.01)

    def hold() -> None:
        held.append(time.monotonic())
        if len(held) == 5:
            (tmp_path / "written").touch()

    in_a_child(waits, hold)
    assert len(held) >= 5


def test_what_the_kernel_does_not_say_falls_not_and_raises_nothing(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    flushing = Flushing(20.0, str(file))
    for now, text, falls in (
        (100, None, False), (120, meminfo(900), False), (140, "Dirty: many kB\n", False), (160, "Dirty:\n", False),
        (180, meminfo(800), True), (200, None, False),
    ):  # fmt: skip
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        assert flushing.falls(now) is falls, now


def test_without_a_child_it_is_done_all_the_same_and_what_it_raises_does_not_end_pid_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    def works() -> None:
        done.append("synced")
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fork", refused)
    in_a_child(works, lambda: None)
    assert done == ["synced"]

"""For how long PID 1 is told to wait: for an hour while a file system is looked at, and no longer; and on and on while
what a start waits for comes on."""

import asyncio
import os
from pathlib import Path

import pytest

from capsuled.boot import bring_up
from capsuled.boot.bring_up import LONGEST_S, storage_up
from capsuled.boot.errors import StorageFailed
from capsuled.boot.link import ALIVE_S, InitLink
from capsuled.boot.stages import Stages
from capsuled.boot.storage import Mounted
from init.life import START_S, Life
from init.words import Listener

MOUNTED = Path("/proc")


def heard(monkeypatch: pytest.MonkeyPatch, state: Path, fails: bool = False) -> list[tuple[str, int] | str]:
    """What was said, and between which words the storage was brought up."""
    reading, writing = os.pipe()
    told: list[tuple[str, int] | str] = []
    listener = Listener()

    def listen() -> None:
        os.set_blocking(reading, False)
        try:
            told.extend(listener.heard(os.read(reading, 4096)))
        except BlockingIOError:
            pass

    class Storage:
        def __init__(self, state: Path, stages: Stages) -> None:
            pass

        async def bring_up(self) -> Mounted:
            listen()
            told.append("checks")
            if fails:
                raise StorageFailed("damaged")
            return Mounted()

    monkeypatch.setattr(bring_up, "Storage", Storage)
    try:
        asyncio.run(storage_up(state, Stages(state / "stages.json"), InitLink(writing)))
    except StorageFailed:
        assert fails
    listen()
    os.close(reading)
    os.close(writing)
    return told


@pytest.mark.parametrize("fails", [False, True])
def test_a_boot_is_waited_for_while_its_file_systems_are_checked_and_no_longer(
    fails: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waits = ("wait", LONGEST_S), "checks", ("wait", int(START_S))
    assert heard(monkeypatch, tmp_path, fails) == list(waits)


def test_a_daemon_that_finds_its_state_mounted_has_the_time_of_any_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(monkeypatch, MOUNTED) == ["checks"]


def test_a_start_that_comes_on_is_never_taken_for_a_hung_one_and_one_that_stands_still_is() -> None:
    reading, writing = os.pipe()
    life, listener, now_s = Life(), Listener(), 0.0
    link = InitLink(writing, lambda: now_s)
    life.starts(now_s)
    os.set_blocking(reading, False)
    words = 0
    while now_s < 5 * START_S:
        link.proceeds()
        try:
            said = listener.heard(os.read(reading, 4096))
        except BlockingIOError:
            said = []
        for word, number in said:
            life.hears(now_s, word, number)
        words += len(said)
        assert life.may_pet(now_s)
        now_s += 1.0
    assert words <= 5 * START_S / ALIVE_S + 1, "not at each call"
    last_s = now_s
    assert last_s + START_S - ALIVE_S - 1 <= (life.hung_at() or 0) <= last_s + START_S
    os.close(reading)
    os.close(writing)

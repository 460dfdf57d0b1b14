"""Paths that give no answer: who asks is told so, nobody else waits, and no more threads hang than there are paths."""

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from stat import S_IFDIR
from typing import Any

import pytest

from effects.errors import HostPathMissing
from effects.host_paths import HostPaths, Seen
from tests.support.turns import turns
from tests.support.until import until
from tools.place import ROOT

AWAY = "/mnt/away"


class Machine:
    """Its paths. What lies below /mnt gives no answer before its server is `back`."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.touched: Counter[str] = Counter()
        self.paths = HostPaths(self.mode_of)

    def mode_of(self, path: str) -> int:
        self.touched[path] += 1
        if path.startswith("/mnt"):
            assert self.back.wait(60), "nobody let it go"
        return 0 if path == "/nowhere" else S_IFDIR | 0o755


def told(story: Callable[[Machine], Awaitable[None]]) -> None:
    """Tell a story of a machine while another task has its turns, and has had some in the end."""

    async def inside() -> None:
        machine = Machine()
        async with turns() as had:
            try:
                await story(machine)
            finally:
                machine.back.set()
            assert had()

    asyncio.run(inside())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effects.host_paths.PATIENCE_S", 0.01)


def test_what_is_there_and_what_is_not_is_seen() -> None:
    async def story(machine: Machine) -> None:
        assert await machine.paths.look(()) == {}
        found = await machine.paths.look(("/srv", "/nowhere", "/srv"))
        assert found == {"/srv": Seen(S_IFDIR | 0o755), "/nowhere": Seen()}
        assert machine.touched == {"/srv": 1, "/nowhere": 1}
        assert await machine.paths.check(("/srv",), "it is bound into web") == {"/srv": S_IFDIR | 0o755}
        with pytest.raises(HostPathMissing, match="/nowhere does not exist on this machine: it is bound into web"):
            await machine.paths.check(("/srv", "/nowhere"), "it is bound into web")

    told(story)


@pytest.mark.usefixtures("impatient")
def test_a_path_that_gives_no_answer_has_one_thread_however_often_it_is_asked_for() -> None:
    async def story(machine: Machine) -> None:
        for _ in range(5):
            with pytest.raises(HostPathMissing, match=f"{AWAY} does not answer, and it is bound into web: the server"):
                await machine.paths.check((AWAY,), "it is bound into web")
        assert machine.touched == {AWAY: 1}
        assert (await machine.paths.look(("/srv", AWAY))) == {"/srv": Seen(S_IFDIR | 0o755), AWAY: Seen(silent=True)}
        machine.back.set()
        await until(lambda: not machine.paths.hanging)
        assert await machine.paths.check((AWAY,), "it is bound into web") == {AWAY: S_IFDIR | 0o755}
        assert machine.touched[AWAY] == 2

    told(story)


def test_two_who_ask_for_one_path_at_a_time_have_one_answer() -> None:
    async def story(machine: Machine) -> None:
        asking = [asyncio.ensure_future(machine.paths.look((AWAY,))) for _ in range(2)]
        await until(lambda: machine.touched[AWAY])
        asking[0].cancel()
        await asyncio.wait(asking[:1])
        machine.back.set()
        assert await asking[1] == {AWAY: Seen(S_IFDIR | 0o755)} and machine.touched[AWAY] == 1

    told(story)


@pytest.mark.usefixtures("impatient")
def test_threads_that_hang_have_a_bound_and_who_finds_none_free_has_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("effects.host_paths.THREADS", 2)

    async def story(machine: Machine) -> None:
        both = {f"/mnt/{number}": Seen(silent=True) for number in range(2)}
        assert await machine.paths.look(both) == both
        both_ask = (machine.paths.look(("/srv",)), machine.paths.look(("/srv",)))
        assert list(await asyncio.gather(*both_ask)) == [{"/srv": Seen(silent=True)}] * 2
        assert machine.touched == {"/mnt/0": 1, "/mnt/1": 1}
        machine.back.set()
        await until(lambda: not machine.paths.hanging)
        assert await machine.paths.look(("/srv",)) == {"/srv": Seen(S_IFDIR | 0o755)}

    told(story)


@pytest.mark.usefixtures("impatient")
def test_what_is_opened_too_late_is_closed_again() -> None:
    async def story(machine: Machine) -> None:
        closed: list[int] = []

        def opening(number: int) -> Any:
            return machine.paths.opened(
                AWAY, lambda: machine.mode_of(AWAY) and number, closed.append, "vm boots from it"
            )

        for number in (1, 2):
            with pytest.raises(HostPathMissing, match="does not answer, and vm boots from it"):
                await opening(number)
        assert machine.touched == {AWAY: 1} and not closed
        machine.back.set()
        await until(lambda: closed)
        assert closed == [1] and await opening(3) == 3 and closed == [1]

    told(story)


def test_who_leaves_while_a_path_is_opened_leaves_nothing_open() -> None:
    async def story(machine: Machine) -> None:
        closed: list[int] = []
        opening = asyncio.ensure_future(
            machine.paths.opened(AWAY, lambda: machine.mode_of(AWAY) and 1, closed.append, "vm boots from it")
        )
        await until(lambda: machine.touched[AWAY])
        with pytest.raises(BlockingIOError):
            await machine.paths.opened(AWAY, lambda: 2, closed.append, "another boots from it")
        opening.cancel()
        await asyncio.wait((opening,))
        assert opening.cancelled() and not closed
        machine.back.set()
        await until(lambda: closed == [1])

    told(story)


def test_what_an_opening_raises_is_raised() -> None:
    async def story(machine: Machine) -> None:
        with pytest.raises(FileNotFoundError):
            await machine.paths.opened("/nowhere", lambda: os.open("/nowhere/at/all", os.O_RDONLY), os.close, "")

    told(story)


ENDS = """
import asyncio, threading
from effects import host_paths

host_paths.PATIENCE_S = 0.01
never = threading.Event()
paths = host_paths.HostPaths(lambda path: never.wait() and 0)
print(asyncio.run(paths.look(("/mnt/away",))))
"""


def test_a_process_ends_over_a_path_that_gives_no_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "silent=True" in done.stdout and not done.stderr

"""Who is offered a pipe, and when one is there no more."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsuled.caller import Caller
from capsuled.handover import Handover
from copies.handing import METADATA, take
from journal.entry import LOCAL, Actor

ASKED = ((METADATA, "wanted"),)
ADMIN = Actor("operator", id="k1", role="admin")


class Call:
    """What gRPC has of a call: what came with it, and the `answer`'s beginning."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self.answer: tuple[tuple[str, str], ...] | None = None
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def send_initial_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.answer = metadata


class Copy:
    """One with a pipe to give away."""

    moved = 0

    def __init__(self) -> None:
        self.handed = False
        self.reading, self.writing = os.pipe()

    def hand(self, give: Callable[[int], bool]) -> bool:
        self.handed = give(self.reading)
        return self.handed


def told(directory: Path, actor: Actor, *metadata: tuple[str, str]) -> Any:
    """The beginning of the answer."""

    async def main() -> Any:
        call, copy = Call(*metadata), Copy()
        async with Handover(directory).offered(copy, Caller(actor, "copy"), call) as offer:
            pass
        await offer.decided()
        return call.answer

    return asyncio.run(main())


def test_who_does_not_ask_hears_nothing_of_it(tmp_path: Path) -> None:
    assert told(tmp_path / "h", LOCAL) is None and told(tmp_path / "h", ADMIN) is None
    assert not (tmp_path / "h").exists()


def test_who_comes_by_the_network_is_told_that_there_is_none(tmp_path: Path) -> None:
    """Admin or not; and so is everybody where no socket can be made."""
    assert told(tmp_path / "h", ADMIN, *ASKED) == () and not (tmp_path / "h").exists()
    assert told(tmp_path / ("x" * 200), LOCAL, *ASKED) == ()


def test_it_is_there_for_one_in_a_directory_of_its_owners(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "h").mkdir(mode=0o777)
        (tmp_path / "h" / "dead").touch()
        call, copy = Call(*ASKED), Copy()
        async with Handover(tmp_path / "h").offered(copy, Caller(LOCAL, "copy"), call) as offer:
            assert call.answer is not None
            ((_, path),) = call.answer
            assert os.listdir(tmp_path / "h") == [os.path.basename(path)]
            assert os.stat(tmp_path / "h").st_mode & 0o777 == 0o700
            pipe = await asyncio.to_thread(take, path)
            await offer.decided()
            assert pipe is not None and copy.handed
            assert await asyncio.to_thread(take, path) is None
        os.write(copy.writing, b"word")
        assert os.read(pipe, 10) == b"word" and os.listdir(tmp_path / "h") == []

    asyncio.run(main())


def test_nobody_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsuled.handover.TAKE_S", 0.05)

    async def main() -> None:
        call, copy = Call(*ASKED), Copy()
        async with Handover(tmp_path / "h").offered(copy, Caller(LOCAL, "copy"), call) as offer:
            await offer.decided()
            assert call.answer is not None and not copy.handed
            assert await asyncio.to_thread(take, call.answer[0][1]) is None

    asyncio.run(main())

"""The copy of the operators for rescue: nobody is told that a removal holds there before it does."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capsule.v1 import identity_pb2 as pb
from capsuled import roster
from capsuled.caller import Caller
from capsuled.live import LiveStreams
from capsuled.roster import Copy, Roster
from capsuled.rpc import Refused
from capsuled.services.identity import IdentityService
from capsuled.session import CURRENT, Session
from journal.entry import LOCAL
from projections.intents import AddKey
from tests.support.until import until
from tests.unit.capsuled.test_call_ids import House

ANN, BOB = "ann", "bob"


class Kept:
    """A roster that follows its state, and the services that wait for it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "identity" / "operators.json"
        self.engine = House().engine
        self.roster = Roster(self.path, self.engine, LiveStreams(), trusted=True)
        nobody: Any = None
        self.service = IdentityService(nobody, self.engine, nobody, self.roster, nobody, nobody)

    async def add(self, *names: str) -> None:
        for name in names:
            await self.engine.call(AddKey(name, name.encode().ljust(32).hex(), name, "admin"), Caller(LOCAL, "KeyAdd"))
        await self.roster.copied()

    async def remove(self, name: str) -> None:
        CURRENT.set(Session(LOCAL))
        await self.service.KeyRemove(pb.KeyRemoveRequest(kid=name), None)

    @property
    def copied(self) -> list[str]:
        return [one.kid for one in msgspec.json.decode(self.path.read_bytes(), type=Copy).operators]


def kept(directory: Path, story: Callable[[Kept], Awaitable[None]]) -> None:
    async def main() -> None:
        made = Kept(directory)
        made.path.parent.mkdir()
        keeping = asyncio.create_task(made.roster.keep())
        async with asyncio.timeout(10):
            await made.add(ANN, BOB)
            await story(made)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())


def in_the_way(made: Kept) -> None:
    """From here on the copy cannot be written."""
    made.path.parent.rename(made.path.parent.with_name("away"))


def mended(made: Kept) -> None:
    made.path.parent.with_name("away").rename(made.path.parent)


def test_a_removal_is_answered_once_it_holds_in_rescue(tmp_path: Path) -> None:
    async def story(made: Kept) -> None:
        assert made.copied == [ANN, BOB]
        await made.remove(BOB)
        assert made.copied == [ANN] and await made.roster.warnings() == ()

    kept(tmp_path, story)


def test_where_the_copy_cannot_be_written_it_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "FIRST_PAUSE_S", 0.01)

    async def story(made: Kept) -> None:
        in_the_way(made)
        with pytest.raises(Refused, match=r"that is done, but in rescue .* a key that was removed") as told:
            await made.remove(BOB)
        assert told.value.reason == "NOT_IN_RESCUE" and "tried again by itself" in str(told.value)
        assert list(made.roster.operators()) == [ANN] and len(await made.roster.warnings()) == 1
        mended(made)
        assert made.copied == [ANN, BOB]
        await until(lambda: not made.roster.lacks)
        assert made.copied == [ANN] and await made.roster.copied() == "" and await made.roster.warnings() == ()

    kept(tmp_path, story)


def test_the_next_change_is_written_without_waiting_for_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "FIRST_PAUSE_S", 3_600.0)

    async def story(made: Kept) -> None:
        in_the_way(made)
        with pytest.raises(Refused):
            await made.remove(BOB)
        mended(made)
        await made.add("cid")
        assert made.copied == [ANN, "cid"]

    kept(tmp_path, story)

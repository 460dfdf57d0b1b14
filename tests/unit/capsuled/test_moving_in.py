"""A restore counts from one moment on: before it nothing stays of it, after it this life ends, whoever has heard of it."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import move_pb2 as pb
from capsuled import restoring
from capsuled.caller import Caller
from capsuled.layout import hosted
from capsuled.memory import Replayed
from capsuled.rpc import Refused
from capsuled.services import move
from capsuled.services.move import MoveService
from capsuled.session import CURRENT, Session
from journal.archive import export
from journal.entry import LOCAL, Actor
from journal.environment import Environment
from journal.errors import JournalFull
from journal.events import DaemonStopped
from journal.reader import Reader
from journal.sequencer import Draft
from journal.writer import Journal
from projections.desired import desired_hash
from projections.intents import AddKey
from projections.refusals import Refusal, refused
from projections.state import Machine
from tests.support.clock import HandClock
from tests.support.vault import OpenVault
from tests.unit.capsuled.test_call_ids import House


class Blank:
    """A machine that has nothing, and the service by which it takes over."""

    def __init__(self, directory: Path) -> None:
        self.layout = hosted(directory)
        self.layout.journal.mkdir(parents=True)
        self.house = House()
        self.ends = asyncio.Event()
        identity: Any = SimpleNamespace(machine_key=bytes(32))
        vault: Any = OpenVault()
        self.service = MoveService(self.house.engine, vault, self.layout, identity, self.ends.set)

    async def restore(
        self, archive: bytes, announced: int | None = None, session: Session = Session(LOCAL)
    ) -> pb.RestoreResponse:
        CURRENT.set(session)
        return await self.service.Restore(_messages(archive, announced), None)

    async def asked(self) -> str:
        """What becomes of a call that is admitted otherwise, and does not make the machine less blank."""
        outcome = await self.house.engine.call(AddKey("ann", "ab" * 32, "ann", "admin"), Caller(LOCAL, "KeyAdd"))
        return outcome.reason if isinstance(outcome, Refusal) else "admitted"


async def _messages(archive: bytes, announced: int | None) -> AsyncIterator[pb.RestoreRequest]:
    total = len(archive) if announced is None else announced
    yield pb.RestoreRequest(metadata=pb.RestoreMetadata(total_bytes=total))
    yield pb.RestoreRequest(chunk=archive)


async def _replayed(directory: Path) -> tuple[Replayed, Machine]:
    return Replayed(1, 2, "ab", 1, 1), Machine()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    async def written() -> None:
        journal = Journal(Environment(tmp_path / "old"), HandClock())
        journal.append([Draft(DaemonStopped(reason="asked to"), LOCAL)])
        await journal.close()

    asyncio.run(written())
    reader = Reader.open(tmp_path / "old")
    content = b"".join(export(reader, reader.journal_id))
    reader.close()
    monkeypatch.setattr(move, "replay_apart", _replayed)
    monkeypatch.setattr(move, "SOON_S", 0.0)
    return content


def test_what_was_laid_down_ends_this_life_also_when_its_caller_has_gone(
    tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gone = threading.Event(), threading.Event()

    def late(*arguments: Any) -> None:
        begun.set()
        gone.wait(10)
        restoring.lay_down(*arguments)

    async def story() -> None:
        blank = Blank(tmp_path / "new")
        call = asyncio.create_task(blank.restore(archive))
        await asyncio.to_thread(begun.wait, 10)
        call.cancel()
        assert await blank.asked() == "RESTORING", "it would be lost"
        gone.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(blank.ends.wait(), 5)
        with pytest.raises(Refused, match="just taking over"):
            await blank.restore(archive)
        assert restoring.laid_down(blank.layout) is not None and await blank.asked() == "RESTORING"

    monkeypatch.setattr(move, "lay_down", late)
    asyncio.run(story())


@pytest.mark.parametrize("how", ["cut", "no room"])
def test_what_is_refused_leaves_nothing_and_changes_nothing(
    tmp_path: Path, archive: bytes, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        blank = Blank(tmp_path / "new")
        with monkeypatch.context() as patched:
            patched.setattr(move, "lacks_room", lambda layout: 1 << 20 if how == "no room" else 0)
            with pytest.raises(Refused):
                await blank.restore(archive[:-5] if how == "cut" else archive)
        assert not blank.layout.restore.exists() and not blank.ends.is_set()
        assert await blank.asked() == "admitted"
        assert (await blank.restore(archive)).head_seq == 1
        await asyncio.wait_for(blank.ends.wait(), 5)

    asyncio.run(story())


def test_who_restores_with_a_key_is_kept_and_what_is_wanted_is_told_with_it(tmp_path: Path, archive: bytes) -> None:
    async def story() -> None:
        blank = Blank(tmp_path / "new")
        for kid in ("ann", "bob"):
            await blank.house.engine.call(AddKey(kid, "ab" * 32, kid, "admin"), Caller(LOCAL, "KeyAdd"))
        ann = Session(Actor("operator", "ann", "ann", "admin"))
        answer = await blank.restore(archive, session=ann)
        laid = restoring.laid_down(blank.layout)
        assert laid is not None and laid.own == blank.house.engine.machine.operators["ann"]
        assert answer.desired_hash == desired_hash(Machine(operators={"ann": laid.own}))

    asyncio.run(story())


def test_who_restores_by_the_socket_brings_no_key(tmp_path: Path, archive: bytes) -> None:
    async def story() -> None:
        blank = Blank(tmp_path / "new")
        assert await blank.asked() == "admitted"
        answer = await blank.restore(archive)
        laid = restoring.laid_down(blank.layout)
        assert laid is not None and laid.own is None and answer.desired_hash == desired_hash(Machine())

    asyncio.run(story())


def test_whose_key_was_removed_while_the_archive_came_has_nothing_taken_over(tmp_path: Path, archive: bytes) -> None:
    async def story() -> None:
        blank = Blank(tmp_path / "new")
        gone = refused("UNAUTHENTICATED", "KEY_REMOVED", "this key was removed")
        session = Session(Actor("operator", "ann", "ann", "admin"), lost=lambda: gone)
        with pytest.raises(Refused, match="this key was removed"):
            await blank.restore(archive, session=session)
        assert not blank.layout.restore.exists() and await blank.asked() == "admitted"

    asyncio.run(story())


def full(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("make_room", full(errno.EDQUOT)),
        ("_write", full(errno.ENOSPC)),
        ("import_archive", JournalFull("the disk has no room for it")),
        ("lay_down", full(errno.ENOSPC)),
    ],
)
def test_a_disk_that_is_full_is_told_as_that_and_nothing_stays(
    tmp_path: Path, archive: bytes, step: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise error

    async def story() -> None:
        blank = Blank(tmp_path / "new")
        with monkeypatch.context() as patched:
            patched.setattr(move, step, fails)
            with pytest.raises(Refused, match=r"nothing was restored\. Free space there") as told:
                await blank.restore(archive)
        assert (told.value.refusal.code, told.value.reason) == ("RESOURCE_EXHAUSTED", "NO_SPACE")
        assert not blank.layout.restore.exists() and await blank.asked() == "admitted"
        assert (await blank.restore(archive)).head_seq == 1

    asyncio.run(story())


def test_of_an_archive_that_cannot_fit_nothing_is_taken(
    tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        blank, taken = Blank(tmp_path / "new"), list[bytes]()
        monkeypatch.setattr(move, "_write", lambda archive, chunk: taken.append(chunk))
        with pytest.raises(Refused, match="MiB too little for this archive: nothing was restored") as told:
            await blank.restore(archive, announced=1 << 60)
        assert told.value.reason == "NO_SPACE" and taken == []

    asyncio.run(story())

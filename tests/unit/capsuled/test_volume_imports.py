"""Imports that end before there is a volume: nothing of what came is left in the storage, whoever ended them, and when."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from capsule.v1 import volume_pb2 as pb
from capsuled.answers import Answers
from capsuled.rpc import Refused
from capsuled.services.volume_data import VolumeDataService
from capsuled.session import CURRENT, Session
from copies.volume_file import Title, packed
from effects.errors import VolumeBusy
from effects.volumes.twin import Storage, TwinVolume, TwinVolumes
from effects.volumes.twin_porter import TwinPorter, TwinStaging
from journal.entry import LOCAL
from journal.events import EffectFailed, VolumeApplied, VolumeLost, VolumeMade, VolumeRemoved
from tests.support.until import until
from tests.unit.capsuled.test_call_ids import House

MIB = 1 << 20
FILE = b"".join(packed(Title("data", 16 * MIB, 8, 1, "0.0.1"), [(0, (42).to_bytes(8, "big"))]))


class Porter(TwinPorter):
    """Half of something takes room as all of it does, and what is open is not put away."""

    def __init__(self, storage: Storage, step: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(storage, step)
        self.open = 0
        self.closed: Callable[[], object] = lambda: None

    async def stage(self, staged: str, size_bytes: int) -> TwinStaging:
        self._storage.staged[staged] = (0, 0)
        made = await super().stage(staged, size_bytes)
        self.open += 1

        def close() -> None:
            self.open -= 1
            self.closed()

        made.close = close  # type: ignore[method-assign]
        return made

    async def unstage(self, staged: str) -> None:
        if self.open:
            raise VolumeBusy("it is open still")
        await super().unstage(staged)


class Importing:
    """The service on twins. The storage holds up at the point `held_up` until it `answers`."""

    def __init__(self, held_up: str = "") -> None:
        self.house = House()
        self.sent = 0
        self.storage, self.held_up = Storage(), held_up
        self.waits, self.answers = asyncio.Event(), asyncio.Event()
        self.porter = Porter(self.storage, self._step)
        engine = self.house.engine
        driver = TwinVolumes(self.storage, self._step)
        self.service = VolumeDataService(engine, Answers(engine, self.house.log), driver, self.porter)

    async def _step(self, point: str) -> None:
        if point == self.held_up:
            self.waits.set()
            await self.answers.wait()

    def begin(self, *chunks: bytes, ends: bool = True, name: str = "data", call_id: str = "") -> asyncio.Task[Any]:
        async def requests() -> AsyncIterator[pb.VolumeImportRequest]:
            yield pb.VolumeImportRequest(metadata=pb.VolumeImportMetadata(name=name))
            for chunk in chunks:
                self.sent += 1
                yield pb.VolumeImportRequest(chunk=chunk)
            if not ends:
                self.waits.set()
                await asyncio.Event().wait()

        async def called() -> Any:
            CURRENT.set(Session(LOCAL, call_id=call_id))
            return await self.service.Import(requests(), None)

        return asyncio.create_task(called())


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(10):
            await test()

    asyncio.run(told())


@pytest.mark.parametrize("content", [FILE[:-20], FILE[:-1] + bytes([FILE[-1] ^ 1]), FILE + b"more"])
def test_of_a_file_that_is_cut_or_altered_nothing_is_left(content: bytes) -> None:
    async def test() -> None:
        importing = Importing()
        with pytest.raises(Refused) as caught:
            await importing.begin(content)
        assert caught.value.refusal.reason == "BAD_VOLUME_FILE"
        assert not importing.storage.staged and not importing.porter.open

    run(test)


@pytest.mark.parametrize("point", ["stage volume", "settle staged", "it comes"])
def test_of_one_whose_client_goes_nothing_is_left(point: str) -> None:
    async def test() -> None:
        importing = Importing(point)
        call = importing.begin(FILE[:-20] if point == "it comes" else FILE, ends=point != "it comes")
        await importing.waits.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not importing.storage.staged and not importing.porter.open

    run(test)


def test_who_goes_again_and_again_waits_until_it_is_put_away() -> None:
    async def test() -> None:
        importing = Importing("unstage volume")
        call = importing.begin(FILE[:-20])
        await importing.waits.wait()
        for _ in range(3):
            call.cancel()
            await asyncio.sleep(0)
        assert not call.done() and importing.storage.staged
        importing.answers.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not importing.storage.staged

    run(test)


def test_who_goes_once_all_has_come_and_before_there_is_an_entry_leaves_nothing() -> None:
    async def test() -> None:
        importing = Importing()
        loop = asyncio.get_running_loop()
        importing.porter.closed = lambda: loop.call_soon_threadsafe(call.cancel)
        call = importing.begin(FILE)
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not importing.storage.staged and not importing.house.engine.machine.volumes

    run(test)


def test_who_goes_behind_the_entry_leaves_all_of_it_to_the_machine() -> None:
    async def test() -> None:
        importing = Importing()
        call = importing.begin(FILE)
        machine = importing.house.engine.machine
        await until(lambda: machine.volumes)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        (volume,) = machine.volumes.values()
        assert importing.storage.staged.keys() == {volume.staged}

    run(test)


def test_a_storage_that_keeps_it_does_not_hide_why_there_is_no_volume(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        importing = Importing()

        async def busy(staged: str) -> None:
            raise VolumeBusy("something has it open")

        monkeypatch.setattr(importing.porter, "unstage", busy)
        with caplog.at_level(logging.WARNING), pytest.raises(Refused) as caught:
            await importing.begin(FILE[:-20])
        assert caught.value.refusal.reason == "BAD_VOLUME_FILE" and "something has it open" in caplog.text

    run(test)


def test_what_has_come_whole_becomes_the_volume() -> None:
    async def test() -> None:
        importing = Importing()
        call = importing.begin(FILE)
        engine = importing.house.engine
        await until(lambda: engine.machine.volumes)
        (volume,) = engine.machine.volumes.values()
        assert importing.storage.staged == {volume.staged: (16 * MIB, 42)}
        engine.record((VolumeMade("data", volume.uid, 16 * MIB),))
        assert (await call).uid == volume.uid

    run(test)


@pytest.mark.parametrize("name", ["data", ""])
def test_a_repeated_import_is_answered_as_the_first_was_and_nothing_of_it_comes_again(name: str) -> None:
    async def test() -> None:
        importing = Importing()
        call = importing.begin(FILE, name=name, call_id="import-1")
        engine = importing.house.engine
        await until(lambda: engine.machine.volumes)
        again = importing.begin(FILE, name=name, call_id="import-1")
        (volume,) = engine.machine.volumes.values()
        engine.record((VolumeMade("data", volume.uid, 16 * MIB),))
        first = await call
        assert await again == first
        engine.record((VolumeRemoved("data", volume.uid),))
        assert await importing.begin(FILE, name=name, call_id="import-1") == first
        assert importing.sent == 1 and not engine.machine.volumes

    run(test)


def test_another_import_under_the_same_id_is_told_so_before_anything_of_it_comes() -> None:
    async def test() -> None:
        importing = Importing()
        call = importing.begin(FILE, call_id="import-1")
        engine = importing.house.engine
        await until(lambda: engine.machine.volumes)
        with pytest.raises(Refused) as caught:
            await importing.begin(FILE, name="other", call_id="import-1")
        assert (caught.value.refusal.code, caught.value.reason) == ("INVALID_ARGUMENT", "CALL_ID_REUSED")
        assert importing.sent == 1
        call.cancel()

    run(test)


def test_a_repeated_import_of_what_there_was_no_room_for_is_refused_with_that() -> None:
    async def test() -> None:
        importing = Importing()
        call = importing.begin(FILE, call_id="import-1")
        engine = importing.house.engine
        await until(lambda: engine.machine.volumes)
        (volume,) = engine.machine.volumes.values()
        call.cancel()
        full = EffectFailed("EnsureVolume", "data", volume.uid, "NO_SPACE", "full", permanent=True, size_bytes=16 * MIB)
        engine.record((full, VolumeRemoved("data", volume.uid)))
        with pytest.raises(Refused) as caught:
            await importing.begin(FILE, call_id="import-1")
        assert caught.value.reason == "NO_SPACE"

    run(test)


@pytest.mark.parametrize("back", [True, False])
def test_nothing_is_imported_in_the_place_of_one_that_is_back_and_was_not_told_of_yet(back: bool) -> None:
    async def test() -> None:
        importing = Importing()
        engine = importing.house.engine
        engine.record((VolumeApplied("data", 16 * MIB, created=True),))
        uid = engine.machine.volumes["data"].uid
        engine.record((VolumeMade("data", uid, 16 * MIB), VolumeLost("data", uid)))
        if not back:
            call = importing.begin(FILE)
            await until(lambda: engine.machine.volumes["data"].staged)
            call.cancel()
            return
        importing.storage.volumes["data", uid] = TwinVolume(16 * MIB, 43)
        with pytest.raises(Refused) as caught:
            await importing.begin(FILE)
        assert caught.value.refusal.reason == "VOLUME_EXISTS"
        assert not engine.machine.volumes["data"].lost and not importing.storage.staged

    run(test)

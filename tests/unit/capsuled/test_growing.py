"""The disk grows on an operator's word: what is remembered of it, and of one that could not."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import pytest

from capsule.v1 import disk_pb2 as pb
from capsuled.boot.errors import StorageFailed
from capsuled.boot.growth import Grown
from capsuled.caller import Caller, Outcome
from capsuled.engine import Engine
from capsuled.growing import Growing
from capsuled.rpc import Refused
from capsuled.services.disk import DiskService
from capsuled.session import CURRENT, Session
from journal.entry import LOCAL, Header
from journal.errors import JournalFull
from journal.events import (
    CallAccepted,
    DiskGrown,
    DiskGrowthFailed,
    DiskGrowthRequested,
    Event,
    GrownPart,
    JournalCheckpointed,
)
from journal.sequencer import Draft
from projections.intents import Checkpoint, CreateSecret
from projections.state import Machine
from tests.support.clock import HandClock
from tests.support.story import ALL
from tests.support.until import until
from tests.unit.capsuled.test_call_ids import KEY, Ledger

GIB = 1 << 30


class TwinDisk:
    """A disk in numbers."""

    disk = "/dev/vda"

    def __init__(self, unused: int, fails: str = "") -> None:
        self.unused, self.used, self.fails = unused, 8 * GIB, fails

    async def unused_bytes(self) -> int:
        return self.unused

    async def grow(self) -> tuple[Grown, ...]:
        if self.fails:
            raise StorageFailed(self.fails)
        before, self.used, self.unused = self.used, self.used + self.unused, 0
        return (Grown("pool", before, self.used),) if self.used > before else ()


class Full(Ledger):
    """A log at its bound: only the last part of the reserve is left."""

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        if not vital:
            raise JournalFull("the disk gives the journal no more space")
        return super().append(drafts)


class House:
    def __init__(self, disk: TwinDisk, log: Callable[[HandClock], Ledger] = Ledger) -> None:
        clock = HandClock()
        self.log = log(clock)
        self.engine = Engine(self.log, Machine(), clock, ALL, KEY)
        self.service = DiskService(Growing(self.engine, disk))

    def grow(self, dry_run: bool = False) -> pb.GrowDiskResponse:
        async def asked() -> pb.GrowDiskResponse:
            CURRENT.set(Session(LOCAL))
            return await self.service.Grow(pb.GrowDiskRequest(dry_run=dry_run), None)

        return asyncio.run(asked())

    @property
    def told(self) -> list[type]:
        return [type(event) for _, event in self.log.entries]


def test_what_grew_is_told_and_remembered() -> None:
    house = House(TwinDisk(4 * GIB))
    answer = house.grow()
    assert (answer.disk, answer.unused_bytes) == ("/dev/vda", 4 * GIB)
    assert [(one.name, one.before_bytes, one.after_bytes) for one in answer.parts] == [("pool", 8 * GIB, 12 * GIB)]
    assert house.told == [CallAccepted, DiskGrowthRequested, DiskGrown]
    header, event = house.log.entries[-1]
    assert event == DiskGrown("/dev/vda", (GrownPart("pool", 8 * GIB, 12 * GIB),))
    assert header.cause == house.log.entries[0][0].seq


def test_again_there_is_nothing_to_take() -> None:
    house = House(TwinDisk(4 * GIB))
    house.grow()
    answer = house.grow()
    assert not answer.parts and answer.unused_bytes == 0
    assert house.told[-2:] == [CallAccepted, DiskGrowthRequested]


def test_a_dry_run_says_how_much_and_changes_nothing() -> None:
    disk = TwinDisk(4 * GIB)
    house = House(disk)
    assert house.grow(dry_run=True).unused_bytes == disk.unused == 4 * GIB
    assert house.told == []


def test_what_could_not_grow_says_why_and_is_remembered() -> None:
    house = House(TwinDisk(4 * GIB, fails="the disk went"))
    with pytest.raises(Refused, match="the disk went"):
        house.grow()
    assert house.told == [CallAccepted, DiskGrowthRequested, DiskGrowthFailed]


@pytest.mark.parametrize("fails", ["", "the disk went"])
def test_with_a_full_journal_a_disk_grows_and_what_came_of_it_is_remembered(fails: str) -> None:
    house = House(TwinDisk(4 * GIB, fails), Full)
    with pytest.raises(Refused, match="the disk went") if fails else nullcontext():
        house.grow()
    assert house.told == [CallAccepted, DiskGrowthRequested, DiskGrowthFailed if fails else DiskGrown]


def test_with_a_full_journal_history_can_begin_later() -> None:
    house = House(TwinDisk(0), Full)

    async def story() -> None:
        forget, create = Checkpoint(1, 2, "aa", "bb", "usb"), CreateSecret("key", "sealed", 3)
        with pytest.raises(JournalFull):
            await house.engine.call(create, Caller(LOCAL, "SecretService.Create"))
        excise = Checkpoint(1, 2, "aa", "bb", excised=((1, None),), reason="a slip")
        with pytest.raises(JournalFull):
            await house.engine.call(excise, Caller(LOCAL, "RetentionService.Excise"))
        assert isinstance(await house.engine.call(forget, Caller(LOCAL, "RetentionService.Truncate")), Outcome)

    asyncio.run(story())
    assert house.told == [CallAccepted, JournalCheckpointed]


def test_that_it_could_not_grow_is_on_the_disk_before_anybody_is_told() -> None:
    class Failing(TwinDisk):
        async def grow(self) -> tuple[Grown, ...]:
            house.log.gate.clear()
            return await super().grow()

    house = House(Failing(4 * GIB, fails="the disk went"))

    async def story() -> None:
        CURRENT.set(Session(LOCAL))
        call = asyncio.create_task(house.service.Grow(pb.GrowDiskRequest(), None))
        await until(lambda: DiskGrowthFailed in house.told)
        done, _ = await asyncio.wait((call,), timeout=0.1)
        assert not done and house.log.waiting == 1
        house.log.gate.set()
        with pytest.raises(Refused, match="the disk went"):
            await call

    asyncio.run(story())


def test_who_goes_in_the_middle_stops_nothing() -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    class Slow(TwinDisk):
        async def grow(self) -> tuple[Grown, ...]:
            begun.set()
            await goes_on.wait()
            return await super().grow()

    house = House(Slow(4 * GIB))

    async def story() -> None:
        CURRENT.set(Session(LOCAL))
        call = asyncio.create_task(house.service.Grow(pb.GrowDiskRequest(), None))
        await begun.wait()
        call.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(story())
    assert house.told == [CallAccepted, DiskGrowthRequested, DiskGrown]


def test_hosted_the_disk_is_somebody_elses() -> None:
    service = DiskService(None)
    with pytest.raises(Refused, match="belongs to the host"):
        asyncio.run(service.Grow(pb.GrowDiskRequest(), None))

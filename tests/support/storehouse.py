"""A house that has volumes: both of their services on twins, and a runner that journals what a test says has happened."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from capsule.v1 import rollback_pb2
from capsule.v1 import volume_pb2 as pb
from capsuled.answers import Answers
from capsuled.caller import Caller
from capsuled.rpc import Refused
from capsuled.services.volumes import SnapshotService, VolumeService
from capsuled.session import CURRENT, Session
from capsuled.volume_rollbacks import VolumeRollbacks
from effects.errors import RuntimeUnavailable
from effects.volumes.twin import Storage, TwinVolumes
from journal.entry import LOCAL
from journal.errors import JournalError
from journal.events import EffectFailed, Event, SnapshotRemoved, SnapshotTaken, VolumeMade, VolumeRemoved
from projections.state import Volume
from projections.storage import Fill
from tests.unit.capsuled.test_call_ids import House

MIB = 1 << 20


class Slow(TwinVolumes):
    """Takes a step before it says how full a volume is, too."""

    async def usage(self, name: str, uid: int) -> Fill | None:
        await self._step("volume usage")
        return await super().usage(name, uid)


class Storehouse:
    """Both services, and what the runner would journal. The storage holds up at the point `held_up`, until it `answers`;
    `silent`: no guest says how full a volume is."""

    def __init__(self, house: House | None = None) -> None:
        self.house = house or House()
        self.engine = self.house.engine
        self.held_up, self.waiting, self.answers = "", 0, asyncio.Event()
        self.silent = False
        answers, driver = Answers(self.engine, self.house.log), Slow(Storage(), self._step)
        self.volumes = VolumeService(self.engine, answers, driver)
        self.snapshots = SnapshotService(self.engine, answers, driver)
        self.rollbacks = VolumeRollbacks(self.engine, answers, driver, None, JournalError("no past here"))

    async def _step(self, point: str) -> None:
        if point == "volume usage" and self.silent:
            raise RuntimeUnavailable("the agent in web does not answer")
        if point == self.held_up:
            self.waiting += 1
            await self.answers.wait()

    def begin(self, call: Callable[[Any, Any], Awaitable[Any]], request: Any, call_id: str = "") -> asyncio.Task[Any]:
        async def called() -> Any:
            CURRENT.set(Session(LOCAL, call_id=call_id))
            return await call(request, None)

        return asyncio.create_task(called())

    async def done(self, call: Callable[[Any, Any], Awaitable[Any]], request: Any, call_id: str = "") -> Any:
        return await asyncio.wait_for(self.begin(call, request, call_id), 5)

    async def roll_back(self, request: rollback_pb2.RollbackRequest, call_id: str) -> rollback_pb2.RollbackResponse:
        return await self.rollbacks.roll_back(request, Caller(LOCAL, "RollbackService.Rollback", call_id, "args"))

    @property
    def data(self) -> Volume:
        return self.engine.machine.volumes["data"]

    def happens(self, *events: Event) -> None:
        self.engine.record(events)

    async def made(self, call_id: str = "") -> pb.Volume:
        creating = self.begin(self.volumes.Create, pb.VolumeCreateRequest(name="data", size_mib=16), call_id)
        await settled()
        self.happens(VolumeMade("data", self.data.uid, 16 * MIB))
        found: pb.Volume = await asyncio.wait_for(creating, 5)
        return found

    async def deleted(self) -> None:
        deleting = self.begin(self.volumes.Delete, pb.VolumeDeleteRequest(name="data"))
        await settled()
        self.happens(VolumeRemoved("data", self.data.uid))
        await asyncio.wait_for(deleting, 5)

    async def taken(self, call_id: str = "", name: str = "") -> pb.Snapshot:
        taking = self.begin(self.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name=name), call_id)
        await settled()
        self.happens(SnapshotTaken("data", self.data.uid, self.data.snapshots[-1].uid, 16 * MIB, "copy"))
        found: pb.Snapshot = await asyncio.wait_for(taking, 5)
        return found

    async def dropped(self, name: str, call_id: str = "") -> None:
        request = pb.SnapshotDeleteRequest(volume="data", name=name)
        dropping = self.begin(self.snapshots.Delete, request, call_id)
        await settled()
        self.happens(SnapshotRemoved("data", self.data.uid, self.data.snapshots[-1].uid))
        await asyncio.wait_for(dropping, 5)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[Storehouse], Awaitable[None]]) -> None:
    async def told() -> None:
        await test(Storehouse())

    asyncio.run(told())


def no_room(store: Storehouse, effect: str, snapshot: int = 0, size_bytes: int = 0) -> None:
    """A goal is given up."""
    full = EffectFailed(
        effect, "data", store.data.uid, "NO_SPACE", "full", permanent=True, snapshot=snapshot, size_bytes=size_bytes
    )
    store.happens(full)


async def refusal(call: Awaitable[Any]) -> tuple[str, str, str]:
    with pytest.raises(Refused) as caught:
        await asyncio.wait_for(call, 5)
    return caught.value.refusal.code, caught.value.refusal.reason, caught.value.refusal.message

"""What the machine itself keeps of a volume, for an export or an update, while the storage loses that."""

import asyncio
from typing import Any

import pytest

from capsule.v1 import volume_pb2 as pb
from capsuled.answers import Answers
from capsuled.rpc import Refused
from capsuled.services.volume_data import VolumeDataService
from capsuled.updates.kept_volumes import keep
from effects.volumes.twin import Storage, TwinVolumes
from effects.volumes.twin_porter import TwinPorter
from journal.events import CallRefused, SnapshotDeleteRequested, SnapshotTaken, VolumeLost
from projections.state import Update
from projections.update_phases import UpdatePhase
from tests.support.storehouse import MIB, Storehouse, run, settled


async def no_step(point: str) -> None:
    pass


def exporting(store: Storehouse) -> asyncio.Task[Any]:
    answers, storage = Answers(store.engine, store.house.log), Storage()
    driver, porter = TwinVolumes(storage, no_step), TwinPorter(storage, no_step)
    service = VolumeDataService(store.engine, answers, driver, porter)

    async def exported(request: pb.VolumeExportRequest, context: Any) -> list[pb.VolumeExportChunk]:
        return [chunk async for chunk in service.Export(request, context)]

    return store.begin(exported, pb.VolumeExportRequest(name="data"))


@pytest.mark.parametrize("taken", [False, True])
def test_a_snapshot_for_an_export_is_not_forgotten_when_its_volume_is_lost_meanwhile(taken: bool) -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        waiting = exporting(store)
        await settled()
        (one,) = store.data.snapshots
        lost = VolumeLost("data", store.data.uid)
        store.happens(*((SnapshotTaken("data", store.data.uid, one.uid, 16 * MIB, "copy"), lost) if taken else (lost,)))
        with pytest.raises(Exception) as caught:
            await asyncio.wait_for(waiting, 5)
        assert getattr(caught.value, "reason", "") == ("SNAPSHOT_MISSING" if taken else "VOLUME_MISSING")
        assert store.data.snapshots[0].leaving, "should the volume come back, that goes"
        told = [type(event) for _, event in store.house.log.entries]
        assert told.count(SnapshotDeleteRequested) == 1 and CallRefused not in told

    run(test)


def test_an_update_hears_at_once_that_a_volume_it_was_to_keep_is_lost() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        update = Update(
            1, "slot_b", "0.0.2", "bbb", 0, "slot_a", "0.0.1", "aaa", UpdatePhase.STAGED, 0, 1,
            keeps=("data",), snapshot="before",
        )  # fmt: skip
        keeping = asyncio.create_task(keep(store.engine, update, 1))
        await settled()
        store.happens(VolumeLost("data", store.data.uid))
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(keeping, 5)
        assert (caught.value.refusal.code, caught.value.refusal.reason) == ("DATA_LOSS", "VOLUME_MISSING")

    run(test)

"""The watch over workloads: an item for whatever is told otherwise than it was, also where another one is the reason."""

import asyncio
from collections.abc import AsyncIterator

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsuled.caller import Caller
from capsuled.services.machine import MachineService
from journal.entry import LOCAL
from journal.events import VolumeLost, VolumeMade, VolumeRemoved
from projections.intents import CreateVolume, Stop
from tests.unit.capsuled.test_call_ids import House, living


async def told(items: AsyncIterator[machine_pb2.WatchItem]) -> pb.Workload:
    return (await asyncio.wait_for(anext(items), 5)).workload


def unblocked(workload: pb.Workload) -> tuple[bool, str]:
    (found,) = (one for one in workload.status.conditions if one.type == "Unblocked")
    return found.met, found.message


@living
async def test_who_waits_for_another_is_told_again_when_that_changes(house: House) -> None:
    service = MachineService(house.engine, house.declarations, house.clock)
    await house.apply(Caller(LOCAL, "Apply"), name="db")
    message = pb.Workload(name="web", container=pb.ContainerSpec(image="app:1"), depends_on=["db"])
    await house.declarations.apply([message], Caller(LOCAL, "Apply"), expect_seq=None, pull=False, dry_run=False)
    items = aiter(service.Watch(machine_pb2.WatchRequest(names=["web"]), None))
    assert unblocked(await told(items)) == (False, "it waits for db, which does not run yet")
    assert (await anext(items)).synced
    await house.engine.call(Stop("db"), Caller(LOCAL, "Stop"))
    assert unblocked(await told(items)) == (False, "it waits for db, which is stopped")
    house.engine.record((VolumeRemoved("none", 1),))
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "nothing is told that is as it was"
    waiting.cancel()


@living
async def test_who_mounts_a_volume_is_told_again_when_that_is_lost(house: House) -> None:
    service = MachineService(house.engine, house.declarations, house.clock)
    await house.engine.call(CreateVolume("data", 16 << 20), Caller(LOCAL, "Create"))
    uid = house.engine.machine.volumes["data"].uid
    house.engine.record((VolumeMade("data", uid, 16 << 20),))
    await house.apply(Caller(LOCAL, "Apply"), mounts=[pb.VolumeMount(volume_name="data", mount_path="/data")])
    items = aiter(service.Watch(machine_pb2.WatchRequest(), None))
    assert (await told(items)).status.message == "" and (await anext(items)).synced
    house.engine.record((VolumeLost("data", uid),))
    assert "not in the storage any more" in (await told(items)).status.message

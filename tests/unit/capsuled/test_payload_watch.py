"""The watch over the payload disks: what nobody needs goes as soon as it may, and what is asked for stays."""

import asyncio

from capsuled.payload_watch import PayloadWatch
from effects.errors import PayloadFailed
from effects.payloads.twin import Racks, TwinDisks
from journal.events import WorkloadExited, WorkloadRemoved
from journal.specs import MicroVM
from projections.intents import Apply
from tests.support.story import OTHER_PIN, PIN, declared
from tests.unit.capsuled.test_call_ids import House, caller

ONE, OTHER = PIN.platform_digest, OTHER_PIN.platform_digest


def test_disks_go_when_a_life_begins_and_with_the_last_microvm_that_is_declared_with_them() -> None:
    async def test() -> None:
        house, racks, steps = House(), Racks({ONE, OTHER}), asyncio.Queue[str]()
        faults = [PayloadFailed("once")]

        async def step(point: str) -> None:
            steps.put_nowait(point)
            if point == "collect payloads" and faults:
                raise faults.pop()

        async def until(point: str) -> None:
            async with asyncio.timeout(10):
                while await steps.get() != point:
                    pass
            await asyncio.sleep(0)

        disks = TwinDisks(racks, step)
        await house.engine.call(Apply((declared("vm", vm=MicroVM()),)), caller())
        for digest in (ONE, OTHER):
            await disks.ensure(digest)
        racks.scratch.add("half")
        watch = PayloadWatch(house.engine, disks, house.clock)
        await watch.look()
        assert racks.scratch == set()
        task = asyncio.ensure_future(watch.run())
        await until("collect payloads")
        await until("collect payloads")
        assert set(racks.disks) == {ONE}, "after a failure it was tried again"
        workload = house.engine.machine.workloads["vm"]
        house.engine.record((WorkloadExited("vm", workload.uid, 1, 0),))
        await until("collect payloads")
        assert set(racks.disks) == {ONE}
        house.engine.record((WorkloadRemoved("vm", workload.uid),))
        await until("collect payloads")
        assert set(racks.disks) == set()
        task.cancel()

    asyncio.run(test())

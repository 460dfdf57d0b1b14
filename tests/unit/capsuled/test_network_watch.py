"""The watch over the network: what another hand did to it is told, and holds up nobody who has nothing to do with it."""

import asyncio

from capsuled.caller import Caller
from capsuled.network_watch import NetworkWatch
from effects.goals import EnsureNetwork
from effects.network.protocol import Link
from effects.network.twin import Cables, TwinNetwork
from effects.planner import plan_object
from journal.entry import LOCAL
from journal.events import Event, NetworkAttached, NetworkDrifted, NetworkEnsured
from projections.intents import Apply
from tests.support.story import declared
from tests.unit.capsuled.test_call_ids import House


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


class Watched:
    """A daemon's watch over a twin of the network, with a workload on the bridge."""

    def __init__(self) -> None:
        self.house, self.cables = House(), Cables()
        self.engine = self.house.engine
        self.network = TwinNetwork(self.cables, _no_step)
        self.watch = NetworkWatch(self.engine, self.network, self.house.clock, frozen=False)

    async def begin(self) -> None:
        """The bridge is there, and the workload is on it."""
        await self.engine.call(Apply((declared("web", network="bridge"),)), Caller(LOCAL, "WorkloadService.Apply"))
        machine = self.engine.machine
        web = machine.workloads["web"]
        await self.network.ensure(())
        await self.network.attach(Link("web", web.uid, web.address))
        ensured, attached = NetworkEnsured(machine.network.changed_seq, 0), NetworkAttached("web", web.uid, web.address)
        self.engine.record((ensured, attached))

    def told(self) -> list[Event]:
        """What it has journaled of another hand's doing."""
        return [event for _, event in self.house.log.entries if isinstance(event, NetworkDrifted)]


def test_a_foreign_bridge_in_place_of_ours_is_told_once_and_holds_up_no_look() -> None:
    async def test() -> None:
        on = Watched()
        await on.begin()
        await on.watch.look()
        assert on.told() == []
        on.cables.occupy()
        async with asyncio.timeout(10):
            await on.watch.look()
            await on.watch.look()
        link, rules = on.told()
        assert isinstance(link, NetworkDrifted) and link.name == "web"
        assert isinstance(rules, NetworkDrifted) and not rules.name
        web = on.engine.machine.workloads["web"]
        goal = plan_object(on.engine.machine, "web")
        assert not web.attached and isinstance(goal, EnsureNetwork), "whoever is on it says what is wrong"

    asyncio.run(test())

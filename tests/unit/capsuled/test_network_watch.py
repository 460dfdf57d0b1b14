"""The watch over the network: what another hand did to it is told, and holds up nobody who has nothing to do with it."""

import asyncio

from capsuled.caller import Caller
from capsuled.network_watch import NetworkWatch
from effects.goals import EnsureNetwork
from effects.network.protocol import Link
from effects.network.twin import Cables, TwinNetwork
from effects.planner import plan_object
from journal.entry import LOCAL
from journal.events import EffectStarted, Event, NetworkAttached, NetworkDrifted, NetworkEnsured, WorkloadStarted
from journal.specs import MicroVM, PortMapping
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


def test_flushed_rules_of_the_only_run_that_waits_for_the_image_of_its_successor_are_seen() -> None:
    async def test() -> None:
        on = Watched()
        await on.begin()
        web = on.engine.machine.workloads["web"]
        on.engine.record((EffectStarted("StartRun", "web", web.uid, run=1, revision=web.revision),))
        on.engine.record((WorkloadStarted("web", web.uid, 1, web.revision, pid=1),))
        successor = declared("web", network="bridge", ports=(PortMapping(80, 8080),))
        await on.engine.call(Apply((successor,)), Caller(LOCAL, "WorkloadService.Apply"))
        await on.watch.look()
        assert on.told() == []
        on.cables.flush()
        await on.watch.look()
        (rules,) = on.told()
        assert isinstance(rules, NetworkDrifted) and not rules.name

    asyncio.run(test())


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


def test_a_link_that_was_made_again_is_no_microvms_while_it_has_the_old_one_open() -> None:
    async def test() -> None:
        on = Watched()
        vm = declared("vm", vm=MicroVM(), drift="report")
        await on.engine.call(Apply((vm,)), Caller(LOCAL, "WorkloadService.Apply"))
        machine = on.engine.machine
        uid, address = machine.workloads["vm"].uid, machine.workloads["vm"].address
        link = Link("vm", uid, address, "tap")
        await on.network.ensure(())
        await on.network.attach(link)
        on.cables.opened.add(("vm", uid))
        on.engine.record((NetworkEnsured(machine.network.changed_seq, 0), NetworkAttached("vm", uid, address)))
        revision = on.engine.machine.workloads["vm"].revision
        begun = EffectStarted("StartRun", "vm", uid, run=1, revision=revision, attempt=1)
        on.engine.record((begun, WorkloadStarted("vm", uid, 1, revision, 4242)))
        on.cables.cut(("vm", uid))
        await on.watch.look()
        assert [event.name for event in on.told() if isinstance(event, NetworkDrifted)] == ["vm"]
        await on.network.attach(link)  # as a life does that ends before it says so
        await on.watch.look()
        assert not on.engine.machine.workloads["vm"].attached, "the one that it has open leads nowhere"
        on.cables.opened.add(("vm", uid))
        await on.watch.look()
        assert on.engine.machine.workloads["vm"].attached

    asyncio.run(test())

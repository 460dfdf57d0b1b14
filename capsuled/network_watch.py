"""What another hand does to the network is seen, journaled as drift, and mended by the lanes that this wakes.

The kernel tells that links or tables changed, not by whom: after each burst everything of ours is looked at, and what
is as the state says leads to nothing.
"""

import logging

from capsuled.engine import Engine
from capsuled.insist import until_seen
from effects.errors import DriverError
from effects.network.protocol import Link, NetworkDriver
from journal.clock import Clock
from journal.events import Event, NetworkAttached, NetworkDrifted, NetworkEnsured
from projections.foreign import rules_are_left
from projections.network import in_use, is_bridged, wanted_mappings
from projections.phases import LIVE
from projections.state import Machine, Workload

log = logging.getLogger(__name__)


class NetworkWatch:
    """`frozen`: look, and change nothing."""

    def __init__(self, engine: Engine, network: NetworkDriver, clock: Clock, *, frozen: bool) -> None:
        self._engine = engine
        self._network = network
        self._clock = clock
        self._frozen = frozen
        self._looked = False

    async def run(self) -> None:
        """Follow the driver until cancelled."""
        async for _ in self._network.drift():
            await self.look()

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of the bridge now; nothing while nobody is on it."""
        if not in_use(self._engine.machine):
            return ()
        try:
            return await self._network.obstacles()
        except DriverError as error:
            return (error.message,)

    async def look(self) -> None:
        """Compare the world with the state, until one look succeeds: the kernel tells of a change only once."""
        if not self._frozen:
            await until_seen(self._look, self._clock, "the network")

    async def _look(self) -> None:
        await self._look_at_links()
        await self._look_at_rules()
        self._looked = True

    def _record(self, event: Event) -> None:
        """Nothing would be stopped or removed in a life that cannot tell what it finds when it begins."""
        self._engine.record((event,), reserved=True, vital=not self._looked)

    async def _look_at_links(self) -> None:
        believed = {(one.name, one.uid) for one in self._engine.machine.workloads.values() if one.attached}
        seen = await self._network.observe()
        machine = self._engine.machine
        shown = {(link.uid, link.address) for link in seen}
        for workload in tuple(machine.workloads.values()):
            if (
                (workload.name, workload.uid) in believed
                and _should_be_linked(workload)
                and _key(workload) not in shown
            ):
                drift = NetworkDrifted(what="its link to the bridge is gone", name=workload.name, uid=workload.uid)
                self._record(drift)
        for workload in tuple(machine.workloads.values()):
            mark = workload.unlinked
            if mark is not None and not mark.repair and _key(workload) in shown and await self._is_on_it(workload):
                # It was only reported, and whoever took it brought it back.
                again = NetworkAttached(workload.name, workload.uid, workload.address)
                self._record(again)
        for link in seen:
            if _is_stranger(machine, link):
                log.info("removing the link of %s.%d, which no workload owns", link.name, link.uid)
                await self._network.detach(link.name, link.uid)

    async def _is_on_it(self, workload: Workload) -> bool:
        """Whether its run, if it has one, is at the link that is there. A microVM is not where a life that ended before
        it said so made another in place of the one that was taken: it has the old one open."""
        if workload.kind != "microvm" or workload.run is None or workload.run.phase not in LIVE:
            return True
        return await self._network.is_open(workload.name, workload.uid)

    async def _look_at_rules(self) -> None:
        machine = self._engine.machine
        before, mappings = machine.network, wanted_mappings(machine)
        left = _are_left(machine)
        if not in_use(machine) or (before.ensured_seq < before.changed_seq and not left):
            return  # nothing need be there, or a lane is about to make it so
        holds = await self._network.holds(mappings)
        if holds is not left or self._engine.machine.network != before:
            return
        if left:
            # They were only reported, and somebody made them good.
            self._record(NetworkEnsured(before.changed_seq, len(mappings)))
            return
        self._record(NetworkDrifted(what="bridge or rules are not as they were made"))


def _are_left(machine: Machine) -> bool:
    """Whether another hand changed the rules, and everybody on the bridge leaves that so."""
    on_it = [workload for workload in machine.workloads.values() if workload.address]
    return bool(on_it) and all(rules_are_left(machine, workload) for workload in on_it)


def _should_be_linked(workload: Workload) -> bool:
    return workload.attached and is_bridged(workload) and workload.desired != "deleting"


def _key(workload: Workload) -> tuple[int, str]:
    return workload.uid, workload.address


def _is_stranger(machine: Machine, link: Link) -> bool:
    workload = machine.workloads.get(link.name)
    return workload is None or _key(workload) != (link.uid, link.address)

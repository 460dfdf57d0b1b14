"""Emergency stops: while the journal cannot write, the side log is all that remembers, and the answer says so."""

import contextlib
import logging

from capsuled.engine import Engine
from effects.containers.protocol import ContainerDriver
from journal.clock import Clock
from journal.errors import JournalError
from journal.events import EmergencyRecovered
from journal.sidelog import Emergency, SideLog, SideLogFull

log = logging.getLogger(__name__)


class Emergencies:
    """`side_log` is None where even it cannot be written (a read-only file system); stops still work."""

    def __init__(self, engine: Engine, containers: ContainerDriver, clock: Clock, side_log: SideLog | None) -> None:
        self._engine = engine
        self._containers = containers
        self._clock = clock
        self._side_log = side_log

    async def stop(self, name: str, why: JournalError) -> None:
        """Stop the workload's run now. It is not remembered as desired state: a restart of the machine starts it."""
        workload = self._engine.machine.workloads[name]
        log.warning("emergency stop of %s: %s", name, why)
        if self._side_log is not None:
            with contextlib.suppress(SideLogFull, OSError):
                self._side_log.append(Emergency("stop", name, workload.uid, self._clock.wall_ns()))
        for seen in await self._containers.observe():
            if (seen.name, seen.uid) == (name, workload.uid) and seen.status != "stopped":
                await self._containers.stop(name, seen.uid, seen.run, workload.spec.stop_grace_ms)


def recovered(side_log: SideLog) -> tuple[EmergencyRecovered, ...]:
    """What the side log remembers, as events for the journal that can write again."""
    return tuple(EmergencyRecovered(one.action, one.name, one.uid, one.at) for one in side_log.records())

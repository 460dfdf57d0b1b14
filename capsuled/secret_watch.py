"""Secrets' files in memory when a life begins: what is not there any more is told, what nobody needs goes."""

import logging

from capsuled.engine import Engine
from capsuled.insist import until_seen
from effects.errors import DriverError
from effects.secrets.protocol import SecretFilesDriver, SeenFiles, place_of
from journal.clock import Clock
from journal.events import Event, SecretFilesPlaced, SecretFilesRemoved
from projections.phases import LIVE
from projections.state import Machine

log = logging.getLogger(__name__)


class SecretWatch:
    """`frozen`: look at nothing, and change nothing."""

    def __init__(self, engine: Engine, files: SecretFilesDriver, clock: Clock, *, frozen: bool) -> None:
        self._engine = engine
        self._files = files
        self._clock = clock
        self._frozen = frozen

    async def look(self) -> None:
        """Compare the memory with the state, until one look succeeds: before it nothing may be planned."""
        if not self._frozen:
            await until_seen(self._look, self._clock, "the file system in memory")

    async def _look(self) -> None:
        seen = await self._files.observe()
        self._engine.record(gone(self._engine.machine, seen), vital=True)
        await self._engine.durable()
        for name, uid in unneeded(self._engine.machine, seen):
            try:
                await self._files.remove(name, uid)
            except (DriverError, OSError) as error:
                log.warning("what is left of the secrets of %s.%d cannot be removed: %s", name, uid, error)


def gone(machine: Machine, seen: tuple[SeenFiles, ...]) -> tuple[Event, ...]:
    """What is left of the files that the state says there are, where that is not all of them. Pure."""
    there = {(one.name, one.uid): one.files for one in seen}
    events: list[Event] = []
    for name, workload in sorted(machine.workloads.items()):
        whole = there.get((name, workload.uid), frozenset())
        left = tuple(one for one in workload.secret_files if place_of(one.path) in whole)
        if left != workload.secret_files:
            reason = "they were not there any more"
            events.append(
                SecretFilesPlaced(name, workload.uid, left)
                if left
                else SecretFilesRemoved(name, workload.uid, reason=reason)
            )
    return tuple(events)


def unneeded(machine: Machine, seen: tuple[SeenFiles, ...]) -> tuple[tuple[str, int], ...]:
    """The places that the state knows nothing of: of a life that ended before it could tell of them. What runs keeps
    its own, whatever is in it: another would not be the one that it sees. Pure."""
    known = {
        (name, workload.uid)
        for name, workload in machine.workloads.items()
        if workload.secret_files or (workload.run is not None and workload.run.phase in LIVE)
    }
    return tuple(sorted((one.name, one.uid) for one in seen if (one.name, one.uid) not in known))

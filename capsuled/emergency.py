"""Emergency stops: while the journal cannot write, the side log is all that remembers, and the answer says so. They
leave the room in it that updates need.

It is read in as soon as the journal writes again: at the next start, or before, when a full disk was given space.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence

from capsuled.engine import Engine
from capsuled.rpc import refuse
from effects.containers.last_resort import LastResort
from effects.errors import DriverError
from effects.runner import FULL_RETRY_S
from effects.runs.by_kind import RunDrivers
from effects.runs.protocol import RunDriver
from journal.clock import Clock
from journal.codec import encode
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import EmergencyRecovered, MachineHalted, type_of
from journal.reader import Reader
from journal.sidelog import FOR_UPDATES, Emergency, SideLog, SideLogFull
from projections.observations import ObservedRun, RunKey

log = logging.getLogger(__name__)

STOP = "stop"
HALT = "halt"
"""What the side log has of a machine whose runs were all ended without a daemon; with a name, but for that one's."""
SLOTS = "slots"
"""What it has of an update while the journal took nothing: see updates/noted.py."""

GRACE_MS = 10_000
"""For a workload of which nothing is known but its name."""


class Emergencies:
    """`side_log` is None where even it cannot be written (a read-only file system); stops still work."""

    def __init__(
        self,
        engine: Engine,
        drivers: RunDrivers,
        last_resort: LastResort,
        clock: Clock,
        side_log: SideLog | None,
        told: tuple[Emergency, ...] = (),
    ) -> None:
        """`told`: what is in the journal, and could not be forgotten yet."""
        self._engine = engine
        self._drivers = drivers
        self._last_resort = last_resort
        self._clock = clock
        self._side_log = side_log
        self._told = told
        self._noted = asyncio.Event()
        self._ended: set[RunKey] = set()

    def ended_here(self, seen: ObservedRun) -> bool:
        """Whether the run was ended by an emergency stop: its end is no other hand's."""
        return (seen.name, seen.uid, seen.run) in self._ended

    async def stop(self, name: str, why: JournalError) -> None:
        """Stop the workload's run now. It is not remembered as desired state: a restart of the machine starts it.

        A state that could not be read knows no names: then whatever the runtime calls so is stopped. Raises Refused
        when neither knows it, DriverError when one does not end.
        """
        workload = self._engine.workload(name)
        uid, grace_ms = (0, GRACE_MS) if workload is None else (workload.uid, workload.spec.stop_grace_ms)
        if workload is not None and workload.run is not None:
            self._ended.add((name, uid, workload.run.number))
        log.warning("emergency stop of %s: %s", name, why)
        self._note(Emergency(STOP, name, uid, self._clock.wall_ns()))
        ended = 0
        for kind, driver in self._drivers.items():
            if workload is not None and workload.kind != kind:
                continue
            try:
                ended += await _stop(driver, name, uid, grace_ms)
            except DriverError as error:
                if kind != "container":
                    raise
                log.warning("the runtime cannot be asked (%s): its processes are ended directly", error)
                ended += await self._last_resort.stop(name, uid, grace_ms)
        if workload is None and not ended:
            message = f"there is no workload {name}, and nothing of that name runs"
            refuse("NOT_FOUND", "WORKLOAD_NOT_FOUND", message, "name")

    def _note(self, record: Emergency) -> None:
        if self._side_log is None:
            return
        try:
            self._side_log.make_room(FOR_UPDATES + 1)
            self._side_log.append(record)
        except (SideLogFull, OSError) as error:
            log.warning("the stop is remembered nowhere: %s", error)
        else:
            self._noted.set()

    async def run(self) -> None:
        """Read in what was noted since the start, until cancelled. The disk gives no event when it is freed, or again
        does what it did not."""
        warned = False
        while self._side_log is not None:
            await self._noted.wait()
            try:
                noted = of_runs(self._side_log)
                if fresh := tuple(one for one in noted if one not in self._told):
                    self._engine.record(tuple(recovered(fresh, self._clock.boot_id)), actor=SYSTEM)
                    await self._engine.durable()
                self._told = noted
                self._noted.clear()
                self._side_log.forget(noted)
                if of_runs(self._side_log):
                    self._noted.set()
            except (JournalError, OSError) as error:
                if isinstance(error, OSError) and not warned:
                    log.warning("what was noted of emergency stops cannot be read in: %s", error.strerror)
                    warned = True
                self._noted.set()
                await self._clock.sleep(FULL_RETRY_S)
            else:
                warned = False


async def _stop(driver: RunDriver, name: str, uid: int, grace_ms: int) -> int:
    ended = 0
    for seen in await driver.observe():
        if seen.name == name and uid in (0, seen.uid) and seen.status == "running":
            await driver.stop(name, seen.uid, seen.run, grace_ms)
            ended += 1
    return ended


def of_runs(side_log: SideLog | None) -> tuple[Emergency, ...]:
    """What the side log remembers of runs."""
    return () if side_log is None else tuple(one for one in side_log.records() if one.action in (STOP, HALT))


def told_in(reader: Reader | None, noted: Sequence[Emergency]) -> tuple[Emergency, ...]:
    """Those that the journal has already: a life before has told them, and could not forget them."""
    if reader is None or not noted:
        return ()
    kinds = type_of(EmergencyRecovered), type_of(MachineHalted)
    there = {(stored.header.type, stored.body) for kind in kinds for stored in reader.of_type(kind)}
    events = map(_event_of, noted)
    return tuple(one for one, event in zip(noted, events, strict=True) if (type_of(event), encode(event)) in there)


def recovered(noted: Iterable[Emergency], boot: str) -> Iterator[EmergencyRecovered | MachineHalted]:
    """The events of them, for the journal that can write again. A halt that something withstood says in the same `boot`
    nothing: that may live still, and in another it has ended, too."""
    return (_event_of(one) for one in noted if one.action != HALT or not one.name or one.boot != boot)


def _event_of(one: Emergency) -> EmergencyRecovered | MachineHalted:
    if one.action == HALT:
        return MachineHalted(one.at, one.boot)
    return EmergencyRecovered(one.action, one.name, one.uid, one.at)

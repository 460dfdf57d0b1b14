"""Tells when a run that followed ends in a row has lasted as long as its policy calls stable: then the row is over, and
stays so over a reboot.

Woken by entries, never by polling: a timer for each such run, and none for others. What became stable while no daemon
was there is told of at the next start.
"""

from capsuled.engine import Engine
from capsuled.insist import until_seen
from capsuled.task_each import TaskEach
from journal.clock import Clock
from journal.events import WorkloadStable
from projections.restarts import stable_at
from projections.state import Deadline

Due = tuple[WorkloadStable, Deadline]
"""What is to be told, and when."""


class StableWatch:
    """`wake` is for the engine's changes. Nothing happens before `run`."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        rows = TaskEach(engine, "row", self._due, self._wait)
        self.run, self.wake = rows.run, rows.wake

    def _due(self, name: str) -> Due | None:
        workload = self._engine.machine.workloads.get(name)
        if workload is None or workload.run is None or (at := stable_at(workload)) is None:
            return None
        # What ran in another boot is lost, and told so at the start: nothing of it is due.
        told = WorkloadStable(name, workload.uid, workload.run.number)
        return (told, at) if at.boot == self._clock.boot_id else None

    async def _wait(self, due: Due) -> None:
        told, at = due
        while (left_ns := at.mono_ns - self._clock.mono_ns()) > 0:  # a timer may be a moment early
            await self._clock.sleep(left_ns / 1e9)

        async def tell() -> None:
            # A restore, or a deletion by force, ends a row without a word to whoever watches the workload.
            if self._due(told.name) == due:
                self._engine.record((told,), reserved=True)  # with this the row is over, and this task is to leave off

        await until_seen(tell, self._clock, f"the run of {told.name}")

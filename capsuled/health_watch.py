"""Looks at the health of what has a check, and journals what changes. A task for each such run, and none for others.

Woken by entries, never by polling; between two looks only its own timer runs. A run is never looked at by two at once.
What is not found in its time is told then, though the look may take longer to end: it may wait for a disk that is away.
"""

import asyncio
import logging
import zlib

from capsuled.engine import Engine
from capsuled.task_each import TaskEach
from effects.health.protocol import Prober, Target
from journal.clock import Clock
from journal.errors import JournalFull
from projections.health import Failure, Finding, is_young, judge, looked_at
from projections.state import Workload

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Looks that begin at a time: each may be a process."""
BEGIN_S = 1.0
"""A look that takes longer has begun, and what it waits for costs nothing: it does not hold up those of others."""
END_S = 5.0
"""A look whose time was up may take so long to end what it began, and that is held against nobody."""
EAGER_S = 1.0
"""The longest pause before a first success, while failures do not count: who waits for it shall not wait longer."""


class HealthWatch:
    """`wake` is for the engine's changes. Nothing happens before `run`."""

    def __init__(self, engine: Engine, prober: Prober, clock: Clock) -> None:
        self._engine = engine
        self._prober = prober
        self._clock = clock
        self._room = asyncio.Semaphore(AT_ONCE)
        self._told_full = False
        targets = TaskEach(engine, "health", self._due, self._watch)
        self.run, self.wake = targets.run, targets.wake

    def _due(self, name: str) -> Target | None:
        workload = self._engine.machine.workloads.get(name)
        return None if workload is None else _target(workload)

    async def _watch(self, target: Target) -> None:
        failures = 0
        # Checks of one interval are spread over it: after a start of the daemon they would all come at once.
        pause_s = self._pause_s(target) * (zlib.crc32(target.name.encode()) % 1_000) / 1_000
        async with asyncio.TaskGroup() as group:
            looks = _Looks(self._prober, target, group)
            while True:
                await self._clock.sleep(pause_s)
                finding = await self._look(looks)
                if finding is not None:
                    failures = self._tell(target, finding, failures)
                pause_s = self._pause_s(target)

    async def _look(self, looks: "_Looks") -> Finding | None:
        """In its turn; who has hung for a while is not in anybody's way."""
        async with asyncio.TaskGroup() as group, self._room:
            finding = group.create_task(looks.find())
            await asyncio.wait((finding,), timeout=BEGIN_S)
        return finding.result()

    def _tell(self, target: Target, finding: Finding, failures: int) -> int:
        """Journal what the finding changes; the failures in a row."""
        clock = self._clock
        counted, events = judge(
            self._engine.machine, target.name, target.uid, target.run, finding, failures, clock.boot_id, clock.mono_ns()
        )
        if not events:
            return counted
        try:
            self._engine.record(events, reserved=True)
        except JournalFull as full:
            if not self._told_full:
                log.warning("health cannot be journaled yet, as that of %s: %s", target.name, full)
            self._told_full = True
            return failures
        self._told_full = False
        return counted

    def _pause_s(self, target: Target) -> float:
        interval_s = target.check.interval_ms / 1_000
        workload = self._engine.machine.workloads.get(target.name)
        run = None if workload is None else workload.run
        if run is not None and is_young(run, target.check, self._clock.boot_id, self._clock.mono_ns()):
            return min(interval_s, EAGER_S)
        return interval_s


class _Looks:
    """At one run, each in its time. `group` has them: they end with it."""

    def __init__(self, prober: Prober, target: Target, group: asyncio.TaskGroup) -> None:
        self._prober = prober
        self._target = target
        self._group = group
        self._last: asyncio.Task[Finding | None] | None = None

    async def find(self) -> Finding | None:
        """What a look finds. Where the last one does not come to its end, none is begun, and that is its finding."""
        time_s = self._target.check.timeout_ms / 1_000
        if self._last is not None and not await _is_over(self._last, max(time_s, END_S)):
            return Finding(Failure.SLOW)
        self._last = look = self._group.create_task(self._ask())
        if not await _is_over(look, time_s):
            look.cancel()  # once: what it does about that is not to be cut
            return Finding(Failure.SLOW)
        return look.result()

    async def _ask(self) -> Finding | None:
        try:
            return await self._prober.look(self._target)
        except TimeoutError:
            return Finding(Failure.SLOW)
        except Exception:
            # A fault of the prober's own says nothing of the workload, and must not end the daemon.
            log.exception("the health of %s could not be looked at", self._target.name)
            return None


async def _is_over(look: "asyncio.Task[Finding | None]", within_s: float) -> bool:
    await asyncio.wait((look,), timeout=within_s)
    return look.done()


def _target(workload: Workload) -> Target | None:
    found = looked_at(workload)
    if found is None:
        return None
    run, check = found
    bridged = (workload.spec if run.spec is None else run.spec).network == "bridge"
    address = workload.address if bridged else "127.0.0.1"
    return Target(workload.name, workload.uid, run.number, check, address, workload.kind)

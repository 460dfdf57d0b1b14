"""One look at everything that runs, shared by whoever wants to know at the time. Nobody asks: nothing is looked at."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from capsuled.engine import Engine
from capsuled.host import memory
from capsuled.turns import Turns
from effects.runs.by_kind import driver_of
from effects.stats.protocol import Measured, Meter, Usage
from journal.clock import Clock
from journal.specs import Kind
from projections.phases import RunPhase
from projections.state import Machine, Workload

LAYERS_AT_ONCE = 1
"""How many layers' sizes are found out at a time. What of it is read file by file keeps the disk busy alone."""
_JIFFY_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class MachineUse(msgspec.Struct, frozen=True):
    """The whole machine, whoever uses it. `cpu_ns` is the busy time of all cores since it booted."""

    at_ns: int
    cpu_cores: int
    cpu_ns: int
    memory_total_bytes: int
    memory_available_bytes: int
    load_1: float


class Reading(msgspec.Struct, frozen=True):
    """One look. `mono_ns` is when it began; `usages` by the workload's name."""

    at_unix_ns: int
    mono_ns: int
    machine: MachineUse
    usages: dict[str, Usage]


class Sampler:
    """Looks through the meters, one for each kind of workload. Whoever asks while a look is under way gets the next
    one, together with all others."""

    def __init__(self, engine: Engine, meters: Mapping[Kind, Meter], clock: Clock) -> None:
        self._engine = engine
        self._meters = meters
        self._clock = clock
        self._turn = asyncio.Lock()
        self._layers = Turns(LAYERS_AT_ONCE)
        self._last: Reading | None = None

    async def reading(self, young_ns: int = 0) -> Reading:
        """A look that began no longer ago than `young_ns`, or after this was called. Raises DriverError."""
        wanted_ns = self._clock.mono_ns() - young_ns
        async with self._turn:
            if self._last is None or self._last.mono_ns < wanted_ns:
                self._last = await self._look()
            return self._last

    async def _look(self) -> Reading:
        at_unix_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
        runs = running(self._engine.machine)
        looks = [
            meter.measure(tuple(run for kind, run in runs if kind == mine)) for mine, meter in self._meters.items()
        ]
        usages = {one.name: one for look in await asyncio.gather(*looks) for one in look}
        return Reading(at_unix_ns, mono_ns, machine_use(mono_ns), usages)

    async def layer_bytes(self, workload: Workload) -> int | None:
        """The size of what it has written beside its volumes; None where it has nothing yet. Whoever asks while others
        wait for the same shares their answer: it may take a look at every file. Raises DriverError."""
        revision = workload.revision if workload.run is None else workload.run.revision
        meter, name, uid = driver_of(self._meters, workload.kind), workload.name, workload.uid
        # There are as many questions as workloads, whoever asks: that bounds them.
        asked = f"{name}/{uid}/{revision}"
        return await self._layers.ask(asked, lambda: meter.layer_bytes(name, uid, revision), asker=asked)


def running(machine: Machine) -> tuple[tuple[Kind, Measured], ...]:
    """The runs that there is something to see of, by name, each with its kind. Pure."""
    found = []
    for name in sorted(machine.workloads):
        workload = machine.workloads[name]
        run = workload.run
        if run is not None and run.phase in (RunPhase.RUNNING, RunPhase.STOPPING):
            spec = workload.spec if run.spec is None else run.spec
            found.append((workload.kind, Measured(name, workload.uid, run.number, spec.network == "bridge")))
    return tuple(found)


def machine_use(at_ns: int) -> MachineUse:
    """Read from the kernel, now."""
    # user, nice, system, idle, iowait, irq, softirq, steal; the guests' time is in the first two already.
    words = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, _ = (int(word) for word in words)
    found = memory()
    return MachineUse(
        at_ns,
        os.cpu_count() or 1,
        (user + nice + system + irq + softirq) * _JIFFY_NS,
        found["MemTotal"],
        min(found["MemAvailable"], found["MemTotal"]),
        os.getloadavg()[0],
    )

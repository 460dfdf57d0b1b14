"""The simulated twin of the meter: what a world's runs use is said by whoever made the world."""

import msgspec

from effects.network.twin import Cables
from effects.runs.twin import Key, Step, World
from effects.stats.protocol import Cpu, Disk, Measured, Memory, Pids, Traffic, Usage


class Load(msgspec.Struct, frozen=True):
    """What a run does all the time, and what it has done once for all."""

    cores: float = 0.0
    memory: Memory = Memory(1 << 20)
    processes: int = 1
    disk: Disk = Disk()
    traffic: Traffic = Traffic()
    layer_bytes: int = 0


class TwinMeter:
    """A meter on a world. `loads` are of runs, by name, uid and number; any other does next to nothing."""

    def __init__(self, world: World, cables: Cables, step: Step) -> None:
        self.loads: dict[Key, Load] = {}
        self._world = world
        self._cables = cables
        self._step = step

    async def measure(self, runs: tuple[Measured, ...]) -> tuple[Usage, ...]:
        """See the protocol."""
        await self._step("measure")
        return tuple(usage for run in runs if (usage := self._usage(run)) is not None)

    def _usage(self, run: Measured) -> Usage | None:
        key, now_ns = (run.name, run.uid, run.run), self._world.now_ns()
        container = self._world.containers.get(key)
        if container is None or container.status != "running":
            return None
        load = self.loads.get(key, Load())
        linked = run.bridged and (run.name, run.uid) in self._cables.links
        cpu, pids = Cpu(int(now_ns * load.cores)), Pids(load.processes, container.run.resources.pids)
        return Usage(*key, now_ns, cpu, load.memory, pids, load.disk, load.traffic if linked else None)

    async def layer_bytes(self, name: str, uid: int, revision: int) -> int | None:
        """See the protocol."""
        await self._step("measure layer")
        if (name, uid, revision) not in self._world.layers:
            return None
        runs = (one.run for one in self._world.containers.values())
        mine = (run.run for run in runs if (run.name, run.uid, run.revision) == (name, uid, revision))
        return self.loads.get((name, uid, max(mine, default=0)), Load()).layer_bytes

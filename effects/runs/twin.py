"""The simulated twins of the drivers of runs, one for each kind: the same contract on a world in memory.

The world outlives drivers as the machine outlives daemons. What it can do wrong is what the contract suite has seen the
real driver do: answers that never come, work that is half done, a runtime that dies and comes back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Literal

import msgspec

from effects.errors import (
    BadUser,
    BadWorkingDir,
    EntrypointMissing,
    HostPathMissing,
    ImageMissing,
    MemoryTooLow,
    RuntimeUnavailable,
)
from effects.runs.copy_holds import CopyHolds
from effects.runs.protocol import Resync, RunSpec
from effects.runs.twin_process import KILL, TwinProcess
from journal.specs import Fault, Kind
from projections.linux import SIGNALS, signal_number
from projections.observations import ObservedRun

Step = Callable[[str], Awaitable[None]]
"""Awaited before and after everything a driver does to the world; may delay, raise, or never return."""

Key = tuple[str, int, int]
"""(name, uid, run)"""


class TwinContainer(msgspec.Struct):
    """One container of the world, or one microVM. `ignores_term`: it ends only when it is killed; else `stop_signal`
    ends it. `secrets` are a microVM's own copies of its files, by their directories on the machine."""

    run: RunSpec
    status: Literal["created", "running", "stopped"] = "created"
    pid: int = 0
    exit_code: int | None = None
    exited_at_ns: int = 0
    ignores_term: bool = False
    oom_kills: int = 0
    unexecutable: str = ""
    fault: Fault | None = None
    secrets: dict[str, tuple[bytes, ...]] = {}


class World:
    """Everything that exists outside the daemon. `starts` counts how often each run's process was made; `processes` are
    those that exec put beside them, `paths` those of the machine that a run may bind. `secrets` reads a directory of
    them on the machine; `post` brings a report to who listens: at once and once, unless a test knows better.
    """

    def __init__(self, images: set[str], paths: frozenset[str] = frozenset()) -> None:
        self.images = images
        self.paths = paths
        self.containers: dict[Key, TwinContainer] = {}
        self.layers: set[tuple[str, int, int]] = set()
        self.logs: set[tuple[str, int]] = set()
        self.starts: dict[Key, int] = {}
        self.processes: list[TwinProcess] = []
        self.now_ns: Callable[[], int] = lambda: 0
        self.on_start: Callable[[TwinContainer], None] = lambda container: None
        self.on_end: Callable[[Key, int], None] = lambda key, exit_code: None
        self.secrets: Callable[[str], tuple[bytes, ...]] = lambda directory: ()
        self.post: Callable[[Callable[[], None]], None] = lambda put: put()
        self._pids = 1_000
        self._listeners: dict[Kind, list[asyncio.Queue[ObservedRun | None]]] = {"container": [], "microvm": []}

    def start(self, container: TwinContainer) -> None:
        """A process comes to life."""
        key = _key(container.run)
        self._pids += 1
        container.status, container.pid = "running", self._pids
        if container.run.kind == "microvm":
            container.secrets = {one.source: self.secrets(one.source) for one in container.run.secrets}
        self.starts[key] = self.starts.get(key, 0) + 1
        self.on_start(container)

    def suffer(self, key: Key) -> None:
        """The kernel kills one of the run's processes for want of memory; whoever listens hears of it."""
        container = self.containers.get(key)
        if container is not None and container.status == "running":
            container.oom_kills += 1
            self._tell(container)

    def _tell(self, container: TwinContainer) -> None:
        for listener in self._listeners[container.run.kind]:
            self.post(partial(listener.put_nowait, observed(container)))

    def fail(self, key: Key, fault: Fault) -> None:
        """The machine around a microVM's process ends, and it with that."""
        self.end(key, 128 + KILL, fault=fault)

    def end(
        self, key: Key, exit_code: int, *, oom: bool = False, unexecutable: str = "", fault: Fault | None = None
    ) -> None:
        """A process ends; whoever listens hears of it."""
        container = self.containers.get(key)
        if container is None or container.status != "running":
            return
        container.oom_kills += oom
        container.unexecutable, container.fault = unexecutable, fault
        container.status, container.pid = "stopped", 0
        container.exit_code, container.exited_at_ns = exit_code, self.now_ns()
        for process in self.processes:
            if (process.request.name, process.request.uid, process.request.run) == key:
                process.end(128 + KILL)
        self.on_end(key, exit_code)
        self._tell(container)

    def listen(self, kind: Kind) -> "asyncio.Queue[ObservedRun | None]":
        """A queue of ends; None says that the other end of the stream broke."""
        queue: asyncio.Queue[ObservedRun | None] = asyncio.Queue()
        self._listeners[kind].append(queue)
        return queue

    def break_streams(self, kind: Kind = "container") -> None:
        """What runs them dies and comes back: streams end, containers go on."""
        listeners, self._listeners[kind] = self._listeners[kind], []
        for listener in listeners:
            listener.put_nowait(None)

    def take(self, key: Key) -> None:
        """Another hand removes a container with its process: nobody hears of its end, only that there was something."""
        container = self.containers.pop(key)
        for process in self.processes:
            if (process.request.name, process.request.uid, process.request.run) == key:
                process.end(128 + KILL)
        if container.status == "running":
            self.on_end(key, 128 + KILL)
        self.break_streams(container.run.kind)

    def kill_shim(self, key: Key) -> None:
        """What watches over a process dies, and the runtime kills the process with it: nobody knows how it ended."""
        container = self.containers.get(key)
        if container is not None and container.status == "running" and container.run.kind == "container":
            container.status, container.pid = "created", 0
            self.break_streams()

    def lose_power(self) -> None:
        """Every process is gone; what was on the disk stays."""
        for container in self.containers.values():
            container.status, container.pid, container.exit_code = "created", 0, None
            container.oom_kills, container.unexecutable, container.fault = 0, "", None
        for process in self.processes:
            process.end(128 + KILL)
        self.processes.clear()
        for kind in self._listeners:
            self.break_streams(kind)


class TwinContainers:
    """A driver of one kind of runs on a world. See the protocol.

    What the real one would find out by looking is agreed on: a command /missing, a user `nobody-here`, a working
    directory below a file, a memory limit below 1 MiB.
    """

    def __init__(self, world: World, step: Step, holds: CopyHolds | None = None, kind: Kind = "container") -> None:
        self._world = world
        self._kind = kind
        self._step = step
        self._holds = holds or CopyHolds()

    async def observe(self) -> tuple[ObservedRun, ...]:
        """See the protocol."""
        await self._step("observe")
        of_mine = (one for one in self._world.containers.values() if one.run.kind == self._kind)
        return tuple(observed(container) for container in of_mine)

    async def ensure_running(self, run: RunSpec) -> ObservedRun:
        """See the protocol."""
        await self._step("look")
        world, key = self._world, _key(run)
        if key not in world.containers:
            bound = (*run.host_bind_paths, *(bind.source for bind in run.host_binds))
            absent = next((path for path in bound if path not in world.paths), None)
            if absent is not None:
                raise HostPathMissing(f"{absent} does not exist on this machine")
            if run.image not in world.images:
                raise ImageMissing(f"{run.image} is not in the image cache")
            world.layers.add((run.name, run.uid, run.revision))
            world.layers -= {
                layer for layer in world.layers if layer[:2] == (run.name, run.uid) and layer[2] != run.revision
            }
            await self._step("layer")
            if run.user == "nobody-here":
                raise BadUser("the image has no user nobody-here")
            world.logs.add((run.name, run.uid))
            world.containers[key] = TwinContainer(run, ignores_term="ignore-term" in run.args)
            await self._step("create")
        container = world.containers[key]
        if container.status == "created":
            _check_start(run)
            async with self._holds.barred(run.name, run.uid):
                world.start(container)
            await self._step("start")
        return observed(container)

    async def stop(self, name: str, uid: int, run: int, grace_ms: int) -> ObservedRun | None:
        """See the protocol."""
        await self._step("stop")
        container = self._world.containers.get((name, uid, run))
        if container is None or container.status == "created":
            await self.remove_run(name, uid, run)
            return None
        if container.status == "running":
            if container.ignores_term or grace_ms == 0:
                await asyncio.sleep(grace_ms / 1000)
                self._world.end((name, uid, run), 137)
            else:
                self._world.end((name, uid, run), 128 + (signal_number(container.run.stop_signal) or SIGNALS["TERM"]))
        await self._step("stopped")
        return observed(container)

    async def remove_run(self, name: str, uid: int, run: int) -> None:
        """See the protocol."""
        await self._step("remove")
        self._world.end((name, uid, run), 137)
        async with self._holds.barred(name, uid):
            self._world.containers.pop((name, uid, run), None)
        await self._step("removed")

    async def remove_workload(self, name: str, uid: int) -> None:
        """See the protocol."""
        world = self._world
        for key in [key for key in world.containers if key[:2] == (name, uid)]:
            await self.remove_run(*key)
        world.layers -= {layer for layer in world.layers if layer[:2] == (name, uid)}
        await self._step("layers removed")
        world.logs.discard((name, uid))
        await self._step("logs removed")

    async def exits(self) -> AsyncIterator[ObservedRun | Resync]:
        """See the protocol."""
        while True:
            queue = self._world.listen(self._kind)
            yield Resync()
            while (end := await queue.get()) is not None:
                try:
                    await self._step("exit")
                except RuntimeUnavailable:
                    break  # a report was lost on the way: everything is looked at again
                yield end


def observed(container: TwinContainer) -> ObservedRun:
    """A container as a driver reports it."""
    run = container.run
    return ObservedRun(
        name=run.name,
        uid=run.uid,
        revision=run.revision,
        run=run.run,
        status=container.status,
        pid=container.pid,
        exit_code=container.exit_code,
        exited_at_ns=container.exited_at_ns,
        oom_kills=container.oom_kills,
        memory_limit_bytes=_memory_limit(run) if container.oom_kills else 0,
        unexecutable=container.unexecutable,
        fault=container.fault,
        accelerator="tcg" if run.vm is not None and container.status == "running" else "",
    )


def _memory_limit(run: RunSpec) -> int:
    return run.resources.memory_bytes or (run.vm.memory_mib << 20 if run.vm is not None else 0)


def _check_start(run: RunSpec) -> None:
    """What the runtime refuses when it makes the first process."""
    if run.command == ("/missing",):
        raise EntrypointMissing("the command `/missing` does not exist in the image")
    if run.working_dir.startswith("/etc/passwd"):
        raise BadWorkingDir(f"the working directory {run.working_dir} cannot be entered: not a directory")
    if 0 < run.resources.memory_bytes < 1 << 20:
        raise MemoryTooLow("the memory limit is too low to start a process with")


def _key(run: RunSpec) -> Key:
    return run.name, run.uid, run.run

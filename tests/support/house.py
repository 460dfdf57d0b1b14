"""The daemon's whole front in this process, on twins: both doors, every servicer, a journal on the disk, no runtime."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from capsuled.addresses import Listen
from capsuled.copy_streams import CopyStreams
from capsuled.denials import Rate
from capsuled.emergency import Emergencies
from capsuled.engine import Engine
from capsuled.examine import tail_proof
from capsuled.exec_stream import ExecStreams
from capsuled.front import Doorway, House, make_doorway, make_servers
from capsuled.handover import Handover
from capsuled.host_network import HostPorts
from capsuled.identity import load_or_make
from capsuled.image_cache import ImageCache
from capsuled.layout import hosted
from capsuled.limits import Limits
from capsuled.logs.keeping import Logs
from capsuled.sampler import Sampler
from capsuled.sealing import Vault
from capsuled.seals import Seals
from capsuled.services.capsule import About
from capsuled.startup import ClosedLog, Memory, open_memory, open_side_log, opening_events
from capsuled.tls import load_or_make_certificate
from effects.containers.last_resort import LastResort
from effects.images.registry_twin import Registries, TwinRegistry
from effects.images.twin import CacheWorld, TwinImages
from effects.network.twin import Cables
from effects.runs.copy_twin import TwinCopier
from effects.runs.exec_twin import TwinExecutor
from effects.runs.protocol import RunSpec
from effects.runs.twin import TwinContainer, TwinContainers, World
from effects.stats.twin import TwinMeter
from effects.volumes.twin import Storage, TwinVolumes
from effects.volumes.twin_porter import TwinPorter
from journal.clock import Clock, SystemClock
from journal.codec import decode
from journal.entry import SYSTEM, Header
from journal.events import EffectStarted, Event, WorkloadStarted
from projections.abilities import Abilities
from projections.intents import DEFAULT_SUBNET, Intent
from projections.refusals import Refusal

IMAGE_DIGEST = "sha256:" + "1" * 64
IMAGE = "docker.io/library/demo:1"
SPARE = "docker.io/library/spare:1"
"""Of the same content, and no workload's."""


class Standing:
    """A house that serves, on an event loop in a thread of its own; everything here may be called from the test's."""

    def __init__(
        self, state: Path, clock: Clock | None = None, rate: Rate | None = None, limits: Limits = Limits()
    ) -> None:
        self.layout = hosted(state)
        self.clock = clock or SystemClock()
        self.rate = rate or Rate(burst=100_000)
        self.limits = limits
        self.address = ""
        self.world = World(set())
        self.registries = Registries()
        self.house: House
        self.doorway: Doorway
        self.containers: TwinContainers
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stopping: asyncio.Event
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        with suppress(OSError):
            self.layout.run.rmdir()  # empty: nothing ran

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run something on the house's loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result(30)

    def call(self, intent: Intent, caller: Any) -> Any:
        """A call by the inner door: what a servicer hands to the engine."""
        answer = self.do(lambda: self.house.engine.call(intent, caller))
        assert not isinstance(answer, Refusal), answer
        return answer

    def runs(self, name: str) -> None:
        """The runner, which this house does not have, brings a workload to life."""

        async def start() -> None:
            engine, workload = self.house.engine, self.house.engine.machine.workloads[name]
            uid, revision = workload.uid, workload.revision
            begun = EffectStarted(effect="StartRun", name=name, uid=uid, run=1, revision=revision)
            engine.record((begun, WorkloadStarted(name, uid, 1, revision, 4242)))
            run = TwinContainer(RunSpec(name, uid, revision, 1, "layer"))
            self.world.containers[name, uid, 1] = run
            self.world.start(run)
            await engine.durable()

        self.do(start)

    def entries(self) -> list[tuple[Header, Event | None]]:
        """The journal's facts."""

        async def read() -> list[tuple[Header, Event | None]]:
            await self.house.engine.durable()
            reader = self.house.memory.reader
            assert reader is not None
            return [(one.header, decode(one)) for one in reader.entries()]

        found: list[tuple[Header, Event | None]] = self.do(read)
        return found

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self.layout.state.mkdir(parents=True, exist_ok=True)
        identity = load_or_make(self.layout.identity)
        memory = await open_memory(self.layout.journal, self.clock, tail_proof(self.layout.journal))
        memory.side_log = open_side_log(self.layout.side_log)
        async with asyncio.TaskGroup() as group:
            self.house = self._built(identity, memory, group)
            await self._live(group)
        if memory.journal is not None:
            await memory.journal.close()
        if memory.side_log is not None:
            memory.side_log.close()

    async def _live(self, group: asyncio.TaskGroup) -> None:
        house = self.house
        engine = house.engine
        if house.memory.journal is not None:
            engine.record(opening_events(engine.machine, self.clock, 1), reserved=True, actor=SYSTEM)
            await engine.durable()
        self.doorway = make_doorway(house, self.rate)
        servers = make_servers(house, self.doorway, Listen(("127.0.0.1:0",), asked=True), self.limits)
        (self.address,) = house.about.addresses
        await servers.start()
        keeping = [group.create_task(one) for one in (self.doorway.roster.keep(), house.cache.run(), self.act(group))]
        self._ready.set()
        await self._stopping.wait()
        for task in asyncio.all_tasks():
            if task in keeping or task.get_name().startswith("lane "):
                task.cancel()
        await servers.stop()
        self.doorway.denials.close()
        house.logs.close()

    async def act(self, group: asyncio.TaskGroup) -> None:
        """What else the house does until it is stopped: nothing, here. What is declared stays as declared."""

    def _built(self, identity: Any, memory: Memory, group: asyncio.TaskGroup) -> House:
        log_file = self.layout.daemon_logs / "boot.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        log_file.touch()
        engine = Engine(memory.journal or ClosedLog(memory.why), memory.machine, self.clock, frozenset())
        world = self.world
        self.containers = TwinContainers(world, _at_once)
        cache = CacheWorld(world.images)
        cache.bring(IMAGE, IMAGE_DIGEST)
        cache.bring(SPARE, IMAGE_DIGEST)
        registry = TwinRegistry(self.registries, _at_once)
        vault = Vault(self.layout.sealed, identity.machine_key)
        images = TwinImages(cache, registry=registry)
        return House(
            layout=self.layout,
            engine=engine,
            memory=memory,
            emergencies=Emergencies(
                engine,
                {"container": self.containers},
                LastResort(self.layout.runc),
                self.clock,
                memory.side_log,
            ),
            execs=ExecStreams(engine, TwinExecutor(world, _at_once)),
            copies=CopyStreams(
                engine, TwinCopier(world, _at_once, self.layout.state / "twin"), Handover(self.layout.handover)
            ),
            images=images,
            cache=ImageCache(engine, images, registry, self.clock),
            registry=registry,
            volumes=TwinVolumes(storage := Storage(), _at_once),
            porter=TwinPorter(storage, _at_once),
            subnet=DEFAULT_SUBNET,
            abilities=Abilities(),
            host_ports=HostPorts(lambda: self.house.about.addresses, "172.20.254.1"),
            logs=Logs(engine, self.layout.logs, log_file, self.clock, group),
            sampler=Sampler(engine, {"container": TwinMeter(world, Cables(), _at_once)}, self.clock),
            vault=vault,
            seals=Seals(engine, vault),
            clock=self.clock,
            judged_ns=self.clock.wall_ns,
            about=About(identity, self.layout.state, memory.state),
            begin_anew=lambda: None,
            certificate=load_or_make_certificate(self.layout.certificate, identity.capsule_id),
        )


async def _awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


async def _at_once(point: str) -> None:
    pass


@contextmanager
def standing(
    state: Path, clock: Clock | None = None, rate: Rate | None = None, limits: Limits = Limits()
) -> Iterator[Standing]:
    """A house for one test."""
    made = Standing(state, clock, rate, limits)
    made.start()
    try:
        yield made
    finally:
        made.stop()

"""One simulated run: a machine, its daemon's lives, operators who call and repeat, and faults. All from one seed."""

import asyncio
import errno
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import msgspec

from capsule.v1 import workload_pb2 as pb
from capsuled.answers import Answers
from capsuled.declare import Declarations
from capsuled.engine import Caller, Engine
from capsuled.exec_stream import ExecStreams
from capsuled.health_watch import HealthWatch
from capsuled.image_cache import ImageCache
from capsuled.network_watch import NetworkWatch
from capsuled.observer import Observer
from capsuled.resolve import Resolver
from capsuled.rpc import Refused
from capsuled.startup import opening_events
from capsuled.streams import opened
from capsuled.volume_watch import VolumeWatch
from effects.actions import Actions
from effects.containers.exec_twin import TwinExecutor
from effects.containers.twin import TwinContainer, TwinContainers, World
from effects.errors import (
    DriverError,
    NoSpace,
    RegistryDenied,
    RegistryUnreachable,
    RegistryUntrusted,
    RuntimeUnavailable,
)
from effects.health.twin import TwinProber
from effects.images.actions import ImageActions
from effects.images.protocol import Progress
from effects.images.registry_twin import Registries, TwinRegistry
from effects.images.twin import CacheWorld, TwinImages
from effects.images.twin_image import TwinImage, TwinLayer
from effects.network.twin import Cables, TwinNetwork
from effects.planner import plan
from effects.runner import Runner
from effects.volumes.twin import Storage, TwinVolumes
from journal.entry import LOCAL, SYSTEM
from journal.errors import JournalFull
from projections.intents import CollectImages, Delete, Intent, RemoveImage, Restart, Start, Stop
from projections.refusals import Refusal
from projections.views import state_hash
from tests.simulation.health import judge_health
from tests.simulation.keyholders import Keyholders, actor_of
from tests.simulation.oracle import Oracle
from tests.simulation.order import judge_order
from tests.simulation.storage import VOLUME_VERBS, call_on_volume, check_use, users
from tests.simulation.store import Disk, SimulatedLog
from tests.simulation.time import VirtualClock, VirtualLoop
from tests.simulation.visits import visit
from tests.support.images import chunks
from tests.support.vault import OpenVault

NAMES = ("web", "db", "job", "cache")
QUIET = "quiet"
"""A workload that nobody changes: what an exec leaves in it is ended by nothing but the daemon."""

PROGRAMS = (
    ("serve", "1"),
    ("serve", "2"),
    ("serve", "3"),
    ("end-ok",),
    ("end-bad",),
    ("ignore-term",),
    ("hog",),
    ("sick",),
    ("foreign",),
    ("missing",),
)
WORKLOAD_VERBS = ("apply", "apply", "apply", "apply", "stop", "start", "restart", "delete")
NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "web": ((),),
    "db": ((),),
    "job": ((), ("db",)),
    "cache": ((), ("db",), ("job",), ("db", "job")),
}
"""What each may be declared to depend on."""
POLICIES = {
    "always": (pb.RESTART_MODE_ALWAYS, 0),
    "always:1": (pb.RESTART_MODE_ALWAYS, 1),
    "on-failure": (pb.RESTART_MODE_ON_FAILURE, 0),
    "on-failure:2": (pb.RESTART_MODE_ON_FAILURE, 2),
    "never": (pb.RESTART_MODE_NEVER, 0),
}
MEMORY_BYTES = 64 << 20


def _image(number: int, *names: str) -> TwinImage:
    layers = (TwinLayer(f"sha256:{number + 200:064}", 100), TwinLayer("sha256:" + "f" * 64, 50))
    return TwinImage(names, f"sha256:{number:064}", f"sha256:{number + 100:064}", layers)


IMAGES = tuple(_image(number, f"docker.io/library/{name}:1") for number, name in enumerate(("app", "tool", "spare"), 1))
"""Side-loaded, with a layer in common."""
REMOTE = "registry.test/remote:1"
MEANINGS = (_image(11, REMOTE), _image(12, REMOTE))
"""What the registry's one name means, by turns."""
SHUT_DOORS: tuple[type[DriverError], ...] = (
    RegistryUnreachable,
    RegistryUnreachable,
    RegistryDenied,
    RegistryUntrusted,
)
"""How a registry keeps this machine out: for a while, or until somebody does something about it."""
STORM_S = 40.0
CALM_S = 1_500.0
"""Longer than every back-off there is, several times over."""


class Crash(BaseException):
    """The daemon dies here. No `except Exception` may hold it up."""


CHECKS = (
    None,
    pb.HealthCheck(exec=["true"], interval_ms=20_000, start_period_ms=0),
    pb.HealthCheck(exec=["true"], interval_ms=60_000, retries=2, start_period_ms=5_000),
)
"""How the health of a program may be looked at."""


class Ask(NamedTuple):
    """What an operator asks. `port`: on the bridge, with this host port; 0: without a network. `disk`: with the volume
    that is called like the workload. `pull`: resolve the image's name anew. `needs`: what it depends on;
    `check`: which of CHECKS."""

    verb: str
    program: tuple[str, ...]
    policy: str = "always"
    image: str = IMAGES[0].names[0]
    pull: bool = False
    port: int = 0
    disk: bool = False
    needs: tuple[str, ...] = ()
    check: int = 0


def _check(ask: Ask) -> pb.HealthCheck | None:
    """What is sick is known to be only by its check."""
    return CHECKS[max(1, ask.check) if "sick" in ask.program else ask.check]


@dataclass
class Trace:
    """What happened, for people who look for the reason of a failure."""

    loop: VirtualLoop
    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.lines.append(f"{self.loop.time():10.4f}  {text}")


class Simulation:
    """Everything of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.loop = VirtualLoop()
        self.trace = Trace(self.loop)
        self.clock = VirtualClock(self.loop)
        self.disk = Disk()
        self.world = World(set())
        self.cache = CacheWorld(self.world.images)
        for image in IMAGES:
            for ref in (image.index_digest, *image.names):
                self.cache.record(ref, image)
        self.registries = Registries()
        self.registries.offer(REMOTE, MEANINGS[0])
        self.cables = Cables()
        self.storage = Storage()
        self.storage.in_use = lambda path: bool(users(self.world, path))
        self.world.now_ns = self.clock.wall_ns
        self.world.on_start = self._program
        self.world.on_end = self._ended
        self.oracle = Oracle()
        self.faults = True
        self.life: Life | None = None
        self.alive = asyncio.Event()
        self.housed = asyncio.Event()
        self.calls = 0
        self.broken: BaseException | None = None
        self.visits: list[asyncio.Future[int | None]] = []
        self.judged = asyncio.Event()
        self.keyholders = Keyholders(self)
        self.flickers: set[tuple[str, int, int]] = set()

    def run(self) -> None:
        """Raises AssertionError with everything that is wrong."""
        try:
            asyncio.set_event_loop(self.loop)
            main = self.loop.create_task(self._main())
            main.add_done_callback(lambda _: self.loop.stop())
            self.loop.run_forever()
            if self.broken is not None:
                raise self.broken
            main.result()
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    async def _main(self) -> None:
        power = asyncio.ensure_future(self._lives())
        power.add_done_callback(self._fell)
        operators = [asyncio.ensure_future(self._operate(name)) for name in NAMES]
        quiet = asyncio.ensure_future(self._until_answered(QUIET, "call-quiet", Ask("apply", ("serve", "1"))))
        operators += [quiet, asyncio.ensure_future(self._keep_house(quiet))]
        visitors = [asyncio.ensure_future(visit(self, name)) for name in (NAMES[0], QUIET)]
        operators.append(asyncio.ensure_future(self.keyholders.run()))
        trouble = asyncio.ensure_future(self._trouble())
        await asyncio.sleep(STORM_S)
        self.faults = False
        self.disk.full = False
        await asyncio.gather(*operators, *visitors, trouble)
        await asyncio.sleep(CALM_S)
        try:
            await self._judge()
        finally:
            self.judged.set()
            for one in (power, *self.visits):
                one.cancel()
            await asyncio.gather(power, *self.visits, return_exceptions=True)

    def _fell(self, power: "asyncio.Future[None]") -> None:
        """A daemon that ends by anything but a crash is a bug: end the run with its error."""
        if not power.cancelled() and power.exception() is not None:
            self.broken = power.exception()
            self.loop.stop()

    # --- the machine ---------------------------------------------------------------------------------------------

    def _program(self, container: TwinContainer) -> None:
        """What the process does by itself."""
        key = (container.run.name, container.run.uid, container.run.run)
        self.trace.note(f"world: {key} starts {container.run.args}")
        try:
            check_use(self.storage, self.world, container)
        except AssertionError as wrong:
            self.broken = wrong
            self.loop.stop()
        code = {"end-ok": 0, "end-bad": 3, "hog": 137, "foreign": 1}.get(container.run.args[0])
        if code is not None:
            self.loop.call_later(self.random.expovariate(0.5), self._end, key, code, container.run.args[0])

    def _end(self, key: tuple[str, int, int], code: int, program: str) -> None:
        container = self.world.containers.get(key)
        if container is None or container.status != "running":
            return
        if program == "hog":
            self.oracle.starved.add(key)
        unexecutable = "it was built for another machine" if program == "foreign" else ""
        self.world.end(key, code, oom=program == "hog", unexecutable=unexecutable)

    def is_well(self, key: tuple[str, int, int]) -> bool:
        """Whether a look finds it well. One that is may fail once, but never twice in a row."""
        if "sick" in self.world.containers[key].run.args:
            return False
        if key in self.flickers or self.random.random() < 0.8:
            self.flickers.discard(key)
            return True
        self.flickers.add(key)
        return False

    def _ended(self, key: tuple[str, int, int], code: int) -> None:
        self.trace.note(f"world: {key} ends with {code}")
        self.oracle.ended[key] = code

    async def _lives(self) -> None:
        """The daemon, started again whenever it dies."""
        while True:
            self.life = Life(self)
            try:
                await self.life.run()
            except* Crash:
                pass
            self.alive.clear()
            self.trace.note("daemon: dead")
            await asyncio.sleep(self.random.uniform(0.0, 0.5))

    async def _trouble(self) -> None:
        """Faults that come from outside the daemon."""
        while self.faults:
            await asyncio.sleep(self.random.expovariate(0.5))
            if not self.faults:
                return
            faults = ("kill", "kill", "runtime", "runtime", "shim", "power", "full", "clock", "flush")
            match self.random.choice(faults):
                case "kill":
                    self._kill("killed")
                case "runtime":
                    self.trace.note("fault: the runtime dies")
                    self.world.break_streams()
                case "shim":
                    alive = [key for key, one in self.world.containers.items() if one.status == "running"]
                    if alive:
                        key = self.random.choice(alive)
                        self.trace.note(f"fault: the shim of {key} dies")
                        self.oracle.unwatched.add(key)
                        self.world.kill_shim(key)
                case "power":
                    self.trace.note("fault: power is lost")
                    self._kill("power")
                    self.clock.reboot()
                    self._forget_ends()
                    self.oracle.vanished |= {
                        key for key, one in self.world.containers.items() if one.status != "created"
                    }
                    self.world.lose_power()
                    self.cables.lose_power()
                    self.storage.lose_power()
                case "flush":
                    self.trace.note("fault: another hand flushes the rules")
                    self.cables.flush()
                case "full":
                    self.disk.full = not self.disk.full
                    self.trace.note(f"fault: disk full: {self.disk.full}")
                case "clock":
                    self.clock.wall_offset_ns += self.random.randint(-(10**15), 10**15)
                    self.trace.note("fault: the wall clock jumps")

    def _forget_ends(self) -> None:
        """An end that nobody had read when the power went can be known by nobody."""
        _, entries = self.disk.replay()
        told = {(event.name, event.uid, event.run) for _, event in entries if type(event).__name__ == "WorkloadExited"}
        self.oracle.ended = {key: code for key, code in self.oracle.ended.items() if key in told}

    def _kill(self, why: str) -> None:
        if self.life is not None:
            self.life.kill(why)

    async def step(self, point: str) -> None:
        """Between any two things a driver does to the world."""
        random = self.random
        if not self.faults:
            await asyncio.sleep(0.001)
            return
        await asyncio.sleep(random.expovariate(50.0))
        dice = random.random()
        if dice < 0.03:
            self._kill(f"in the middle of {point}")
            await asyncio.Event().wait()
        elif dice < 0.04 and ("volume" in point or point in ("mount", "unmount", "snapshot", "restore")):
            self.trace.note(f"fault: an error that nobody foresaw, in {point}")
            raise OSError(errno.EIO, "the simulated disk is broken")
        elif dice < 0.07:
            self.trace.note(f"fault: no answer to {point}")
            if point in ("resolve", "fetch"):
                raise random.choice(SHUT_DOORS)("the simulated registry does not let us in")
            raise RuntimeUnavailable("the simulated runtime does not answer")
        elif dice < 0.09 and point in ("layer", "create", "commit", "apply", "clone volume"):
            raise NoSpace("the simulated disk is full")

    # --- operators -----------------------------------------------------------------------------------------------

    async def _operate(self, name: str) -> None:
        """One operator per name, so that what was acknowledged last is what counts."""
        while self.faults:
            await asyncio.sleep(self.random.expovariate(0.8))
            self.calls += 1
            await self._until_answered(name, f"call-{name}-{self.calls}", self._choice(name))
        # The last word, without faults: what is judged must be known for sure. So it must not want for an image.
        await self.housed.wait()
        self.calls += 1
        await self._until_answered(name, f"call-{name}-{self.calls}", self._choice(name, WORKLOAD_VERBS))

    def _choice(self, name: str, verbs: tuple[str, ...] = ()) -> Ask:
        return Ask(
            verb=self.random.choice(verbs or WORKLOAD_VERBS + VOLUME_VERBS),
            program=self.random.choice(PROGRAMS),
            policy=self.random.choice(tuple(POLICIES)),
            image=self.random.choice((*(image.names[0] for image in IMAGES), REMOTE, REMOTE)),
            pull=self.random.random() < 0.3,
            port=self.random.choice((0, 0, 8_000 + NAMES.index(name), 9_000 + NAMES.index(name))),
            # The last word must not be refused for want of a volume.
            disk=not verbs and self.random.random() < 0.5,
            # Nor for want of one that it depends on.
            needs=self.random.choice(NEEDS[name]) if not verbs else (),
            check=self.random.randrange(len(CHECKS)),
        )

    async def _until_answered(self, name: str, call_id: str, ask: Ask) -> None:
        """Repeat the call with its id until there is an answer: what a client does whose connection broke."""
        self.oracle.asked(name)
        while True:
            await self.alive.wait()
            life = self.life
            assert life is not None
            try:
                answer = await life.guarded(self._call(life, name, ask, call_id))
            except (Crash, DriverError):
                await asyncio.sleep(0.01)
                continue
            except JournalFull:
                await asyncio.sleep(1)
                continue
            self.oracle.answered(name)
            self.trace.note(f"operator: {ask.verb} {name} {ask.program if ask.verb == 'apply' else ''} -> {answer}")
            return

    async def _call(self, life: "Life", name: str, ask: Ask, call_id: str) -> str:
        if ask.verb in VOLUME_VERBS:
            return await call_on_volume(life.engine, self.oracle, ask.verb, name, call_id)
        caller = Caller(actor_of(name), ask.verb, call_id, f"{name} {ask}")
        if ask.verb == "apply":
            mode, attempts = POLICIES[ask.policy]
            message = pb.Workload(
                name=name,
                depends_on=ask.needs,
                container=pb.ContainerSpec(
                    image=ask.image,
                    command=["/missing"] if ask.program == ("missing",) else [],
                    args=ask.program,
                    restart=mode,
                    restart_policy=pb.RestartPolicy(max_attempts=attempts),
                    resources=pb.Resources(memory_bytes=MEMORY_BYTES),
                    stop_grace_seconds=2,  # type: ignore[arg-type]
                    network_mode=pb.NETWORK_MODE_BRIDGE if ask.port else pb.NETWORK_MODE_NONE,
                    ports=[pb.PortMapping(container_port=80, host_port=ask.port)] if ask.port else [],
                    mounts=[pb.VolumeMount(volume_name=name, mount_path="/data")] if ask.disk else [],
                    health=_check(ask),
                ),
            )
            try:
                result = await life.declarations.apply([message], caller, expect_seq=None, pull=ask.pull, dry_run=False)
            except Refused as refused:
                return refused.refusal.reason
            digest = result.machine.workloads[name].spec.image.platform_digest
            self.oracle.applied(name, ask.program, ask.policy, digest, ask.port, ask.disk, ask.needs)
            meant = [image.platform_digest for image in (*IMAGES, *MEANINGS) if ask.image in image.names]
            assert digest in meant, f"{ask.image} is not {digest}"
            return "ok"
        intent: Intent = {"stop": Stop, "start": Start, "restart": Restart, "delete": Delete}[ask.verb](name)
        before = life.engine.workload(name)
        outcome = await life.engine.call(intent, caller)
        if isinstance(outcome, Refusal):
            return outcome.reason
        match ask.verb:
            case "stop":
                self.oracle.stopped(name)
            case "start":
                self.oracle.started(name)
            case "restart":
                if before is not None and before.run is not None:
                    self.oracle.restarted(name, before.uid, before.run.number)
            case "delete":
                self.oracle.deleted(name)
                if before is not None:
                    await life.engine.gone(name, before.uid)
        return "ok"

    async def _keep_house(self, quiet: "asyncio.Future[None]") -> None:
        """The operator of the images: brings them, and takes them away, once the quiet workload has its own."""
        await quiet
        while self.faults:
            await asyncio.sleep(self.random.expovariate(0.8))
            self.calls += 1
            image = self.random.choice(IMAGES)
            verb = self.random.choice(("push", "push", "rm", "rm", "gc", "gc all", "pull", "rm remote", "move"))
            if verb == "move":
                self.registries.offer(REMOTE, self.random.choice(MEANINGS))
            else:
                await self._until_done(verb, image, f"call-image-{self.calls}")
        # Every image is there at the end: what was refused for want of one can be applied.
        for image in IMAGES:
            self.calls += 1
            await self._until_done("push", image, f"call-image-{self.calls}")
        self.housed.set()

    async def _until_done(self, verb: str, image: TwinImage, call_id: str) -> None:
        while True:
            await self.alive.wait()
            life = self.life
            assert life is not None
            try:
                answer = await life.guarded(self._change_images(life, verb, image, call_id))
            except (Crash, DriverError):
                await asyncio.sleep(0.01)
                continue
            except JournalFull:
                await asyncio.sleep(1)
                continue
            self.trace.note(f"operator: image {verb} {image.names[0]} -> {answer}")
            return

    async def _change_images(self, life: "Life", verb: str, image: TwinImage, call_id: str) -> str:
        caller = Caller(LOCAL, f"image {verb}", call_id, f"{verb} {image.names}")
        if verb == "push":
            content = msgspec.json.encode((image,)) + b"\n" + bytes(image.size_bytes)
            async with opened(life.engine, caller, "") as stream:
                await life.cache.push(chunks(content, 40), "", (), stream, caller)
            return "ok"
        if verb == "pull":
            async with opened(life.engine, caller, REMOTE) as stream:
                await life.cache.pull(REMOTE, Progress(), stream, caller)
            return "ok"
        names = {"rm": image.names[0], "rm remote": REMOTE}
        intent = RemoveImage(names[verb]) if verb in names else CollectImages(verb == "gc all")
        try:
            return str((await life.cache.remove(intent, caller)).refs)
        except Refused as refused:
            return refused.refusal.reason

    # --- the end -------------------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        life = self.life
        assert life is not None
        await life.engine.durable()
        machine, entries = self.disk.replay()
        wrong = self.oracle.judge(self.world, entries) + self.oracle.judge_network(self.cables)
        wrong += self.oracle.judge_storage(self.storage, entries)
        wrong += self.keyholders.judge_memory(machine) + self.keyholders.judge_actors(entries)
        wrong += self.oracle.judge_visits(self.world, entries) + judge_order(entries)
        wrong += judge_health(machine, entries)
        if machine.streams:
            wrong.append(f"streams are open although nobody holds them: {machine.streams}")
        if state_hash(machine) != state_hash(life.engine.machine):
            wrong.append("the state is not the fold of the journal")
        names = {ref: image.pin.index_digest for ref, image in machine.images.items()}
        shown = {ref: image.index_digest for ref, image in self.cache.records.items() if "/" in ref}
        if names != shown or set(machine.cached) != self.cache.records.keys() - shown.keys():
            wrong.append(
                f"the cache holds {self.cache.records.keys()}, the journal says {names}, {machine.cached.keys()}"
            )
        if machine.leaving or self.cache.scratch:
            wrong.append(f"left half-done: {machine.leaving}, {self.cache.scratch} layers")
        for name, workload in life.engine.machine.workloads.items():
            if name not in self.oracle.wishes:
                wrong.append(f"{name} is in the state although it was deleted")
            assert workload.name == name
        due = [goal for goal in plan(life.engine.machine) if goal.not_before is None]
        if due:
            wrong.append(f"after convergence something is still due: {due}")
        assert not wrong, "\n".join(wrong)


class Life:
    """One life of the daemon: built as capsuled/daemon.py builds it, on simulated drivers and a simulated disk."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._killed = simulation.loop.create_future()
        machine, _ = simulation.disk.replay()
        forgotten = simulation.oracle.judge_memory(machine) + simulation.keyholders.judge_memory(machine)
        assert not forgotten, "\n".join(forgotten)
        self.log = SimulatedLog(simulation.disk, simulation.clock, simulation.random)
        self.engine = Engine(self.log, machine, simulation.clock, frozenset({"network.bridge", "volume"}))
        self._network = TwinNetwork(simulation.cables, self._step)
        self._volumes = TwinVolumes(simulation.storage, self._step)
        self._containers = TwinContainers(simulation.world, self._step)
        registry = TwinRegistry(simulation.registries, self._step)
        self.images = TwinImages(simulation.cache, self._step, registry)
        self.cache = ImageCache(self.engine, self.images, registry, simulation.clock)
        resolver = Resolver(self.images, registry, OpenVault(), TwinNetwork.subnet)
        self.declarations = Declarations(self.engine, resolver, Answers(self.engine, simulation.disk))
        self.execs = ExecStreams(self.engine, TwinExecutor(simulation.world, self._step))

    async def _step(self, point: str) -> None:
        """A dead daemon's driver calls nothing any more."""
        await self._only_alive()
        await self._simulation.step(point)
        await self._only_alive()

    async def _only_alive(self) -> None:
        if self._killed.done():
            await self._simulation.judged.wait()
            raise Crash

    def kill(self, why: str) -> None:
        """From here on nothing of this life does anything."""
        if not self._killed.done():
            self._simulation.trace.note(f"daemon: {why}")
            self.log.crash()
            self._killed.set_result(None)

    async def visited(self, call: Coroutine[Any, Any, int | None]) -> int | None:
        """An exec. One whose daemon dies is left as it stands: a dead daemon tidies nothing up."""
        task = asyncio.ensure_future(call)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._simulation.visits.append(task)
        await asyncio.wait((task, self._killed), return_when=asyncio.FIRST_COMPLETED)
        if self._killed.done():
            raise Crash
        return task.result()

    async def guarded(self, call: object) -> object:
        """A client's call: an answer of a daemon that died meanwhile is none."""
        task = asyncio.ensure_future(call)  # type: ignore[arg-type]
        await asyncio.wait((task, self._killed), return_when=asyncio.FIRST_COMPLETED)
        if self._killed.done():
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled():
                task.exception()
            raise Crash
        return task.result()

    async def run(self) -> None:
        """Until killed."""
        simulation = self._simulation
        async with asyncio.TaskGroup() as group:
            group.create_task(self._die())
            group.create_task(self.log.write())
            self.engine.record(opening_events(self.engine.machine, simulation.clock, 1), reserved=True, actor=SYSTEM)
            await self.engine.durable()
            simulation.alive.set()
            simulation.trace.note("daemon: alive")
            group.create_task(self.execs.sweep(simulation.clock))
            await self.cache.look()
            group.create_task(self.cache.run())
            observer = Observer(self.engine, self._containers, simulation.clock, frozen=False)
            group.create_task(observer.run())
            watch = NetworkWatch(self.engine, self._network, simulation.clock, frozen=False)
            group.create_task(watch.run())
            storage = VolumeWatch(self.engine, self._volumes, simulation.clock, frozen=False)
            await observer.synced.wait()
            await watch.look()
            await storage.thaw()
            await storage.look()
            group.create_task(storage.run())
            actions = Actions(
                self.engine,
                self._containers,
                self._network,
                self._volumes,
                ImageActions(self.engine, self.images, self.cache.pulls),
                lambda spec: (),
                simulation.clock,
            )
            runner = Runner(self.engine, actions, simulation.clock, group)
            observer.acting_on = runner.acting_on
            watch.wake = runner.wake
            health = HealthWatch(
                self.engine, TwinProber(simulation.world, self._step, simulation.is_well), simulation.clock
            )
            self.engine.on_change(health.wake)
            group.create_task(health.run())
            self.engine.on_change(runner.wake)
            runner.open()

    async def _die(self) -> None:
        await self._killed
        raise Crash

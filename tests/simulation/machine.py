"""One simulated run: a machine, its daemon's lives, operators who call and repeat, and faults. All from one seed."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from effects.errors import (
    DriverError,
    NoSpace,
    RegistryDenied,
    RegistryUnreachable,
    RegistryUntrusted,
    RuntimeUnavailable,
)
from effects.images.registry_twin import Registries
from effects.images.twin import CacheWorld
from effects.network.twin import Cables
from effects.planner import plan
from effects.runs.twin import TwinContainer, World
from effects.secrets.twin import Shelf
from effects.volumes.twin import Storage
from journal.events import WorkloadExited, WorkloadStarted
from journal.specs import Kind
from projections.views import state_hash
from tests.simulation.always import judge_now
from tests.simulation.asks import FAULTS, IMAGES, MEANINGS, NAMES, QUIET, REMOTE
from tests.simulation.disk import Disk
from tests.simulation.hands import HANDS, Hands
from tests.simulation.health import judge_health
from tests.simulation.keyholders import Keyholders
from tests.simulation.left import judge_hands, what_is_left
from tests.simulation.life import Crash, Life
from tests.simulation.operators import Operators
from tests.simulation.oracle import Oracle
from tests.simulation.order import judge_order
from tests.simulation.releases import Release
from tests.simulation.secrets import Safe, Safekeeper
from tests.simulation.storage import check_use, users
from tests.simulation.time import VirtualClock, VirtualLoop
from tests.simulation.visits import visit

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
        self.release = Release.TODAYS
        self.safe = Safe()
        self.world = World(set())
        self.cache = CacheWorld(self.world.images)
        for image in IMAGES:
            for ref in (image.index_digest, *image.names):
                self.cache.record(ref, image)
        self.registries = Registries()
        self.registries.offer(REMOTE, MEANINGS[0])
        self.cables = Cables()
        self.storage = Storage()
        self.shelf = Shelf()
        self.storage.in_use = lambda path: bool(users(self.world, path))
        self.world.now_ns = self.clock.wall_ns
        self.world.secrets = self.shelf.directory
        self.world.on_start = self._program
        self.world.on_end = self._ended
        self.world.post = self.cables.post = self.storage.post = self._post
        self.hands = Hands(self.world, self.cables, self.storage, self.cache, self.random)
        self.oracle = Oracle()
        self.faults = True
        self.life: Life | None = None
        self.alive = asyncio.Event()
        self.broken: BaseException | None = None
        self.visits: list[asyncio.Future[int | None]] = []
        self.judged = asyncio.Event()
        self.keyholders = Keyholders(self)
        self.safekeeper = Safekeeper(self)
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
        operators = Operators(self).begin()
        visitors = [asyncio.ensure_future(visit(self, name)) for name in (NAMES[0], QUIET)]
        operators.append(asyncio.ensure_future(self.keyholders.run()))
        operators.append(asyncio.ensure_future(self.safekeeper.run()))
        trouble = asyncio.ensure_future(self._trouble())
        await asyncio.sleep(STORM_S)
        self.faults = False
        self.disk.full = False
        if self.life is not None and self.life.frozen:
            self._change_release()
        await asyncio.gather(*operators, *visitors, trouble)
        await self.safekeeper.last_word()
        await asyncio.sleep(CALM_S)
        try:
            await self._judge()
        finally:
            self.judged.set()
            power.cancel()
            for one in self.visits:
                one.cancel()
            await asyncio.gather(power, *self.visits, return_exceptions=True)

    def fail(self, wrong: str) -> None:
        """Something is wrong now, whoever is at work: end the run with it."""
        self.broken = self.broken or AssertionError(wrong)
        self.loop.stop()

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
        if key in self.hands.taken and not self._told_of(key):
            # Another hand took it before anybody knew that it lived. It begins a second time, with an end of its own.
            self.hands.ended.discard(key)
            self.oracle.ended.pop(key, None)
        try:
            check_use(self.storage, self.world, container)
            if self.life is not None:
                self.life.log.judge_durable("StartRun", *key)
        except AssertionError as wrong:
            self.fail(str(wrong))
        code = {"end-ok": 0, "end-bad": 3, "hog": 137, "foreign": 1, "fatal": 134}.get(container.run.args[0])
        if code is not None:
            self.loop.call_later(self.random.expovariate(0.5), self._end, key, code, container.run.args[0])

    def _told_of(self, key: tuple[str, int, int]) -> bool:
        _, entries = self.disk.replay()
        started = (event for _, event in entries if isinstance(event, WorkloadStarted))
        return any((event.name, event.uid, event.run) == key for event in started)

    def _end(self, key: tuple[str, int, int], code: int, program: str) -> None:
        container = self.world.containers.get(key)
        if container is None or container.status != "running":
            return
        if program == "fatal" and container.run.kind == "microvm":
            self.world.fail(key, self.random.choice(FAULTS))
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
            if self.life.frozen:
                self.loop.call_later(self.random.expovariate(1.0), self._thaw, self.life)
            try:
                await self.life.run()
            except* Crash:
                pass
            self.alive.clear()
            self.trace.note("daemon: dead")
            await asyncio.sleep(self.random.uniform(0.0, 0.5))

    def _thaw(self, life: Life) -> None:
        """Somebody puts the release back that can read the journal."""
        if self.life is life:
            self._change_release()

    def _change_release(self) -> None:
        self.release = Release.TODAYS if self.release is Release.NEWER else Release.NEWER
        self.trace.note(f"machine: release {self.release.version} takes over")
        self._kill("replaced")

    def _post(self, put: Callable[[], None]) -> None:
        """A report of a driver's is brought; now and then twice, or late, so that others overtake it."""
        dice = self.random.random() if self.faults else 1.0
        if dice >= 0.1:
            put()
        if dice < 0.2:
            self.loop.call_later(self.random.expovariate(2.0), put)

    async def _trouble(self) -> None:
        """Faults that come from outside the daemon."""
        while self.faults:
            await asyncio.sleep(self.random.expovariate(0.5))
            if not self.faults:
                return
            faults = (
                "kill",
                "kill",
                "runtime",
                "runtime",
                "shim",
                "guest",
                "guest",
                "power",
                "full",
                "clock",
                "flush",
                "release",
                "release",
                "snapshots",
                *HANDS,
            )
            match self.random.choice(faults):
                case other if other in HANDS:
                    done = self.hands.act(other)
                    self.oracle.unwatched |= self.hands.taken
                    self.trace.note(f"fault: another hand {done or 'finds nothing to change'}")
                case "kill":
                    self._kill("killed")
                case "runtime":
                    self.trace.note("fault: the runtime dies")
                    self.world.break_streams()
                case "shim":
                    alive = self._alive("container")
                    if alive:
                        key = self.random.choice(alive)
                        self.trace.note(f"fault: the shim of {key} dies")
                        self.oracle.unwatched.add(key)
                        self.world.kill_shim(key)
                case "guest":
                    alive = self._alive("microvm")
                    if alive:
                        key, fault = self.random.choice(alive), self.random.choice(FAULTS)
                        self.trace.note(f"fault: the machine of {key} ends: {fault}")
                        self.world.fail(key, fault)
                case "power":
                    self.trace.note("fault: power is lost")
                    self._lose_power()
                case "release":
                    self._change_release()
                    if self.random.random() < 0.5:
                        self._lose_power()  # as when the machine boots its other slot
                case "snapshots":
                    self.trace.note("fault: snapshots are lost or damaged")
                    self.disk.damage_snapshots(self.random)
                case "flush":
                    self.trace.note("fault: another hand flushes the rules")
                    self.cables.flush()
                case "full":
                    self.disk.full = not self.disk.full
                    self.trace.note(f"fault: disk full: {self.disk.full}")
                case "clock":
                    self.clock.wall_offset_ns += self.random.randint(-(10**15), 10**15)
                    self.trace.note("fault: the wall clock jumps")

    def _lose_power(self) -> None:
        self._kill("power")
        self.clock.reboot()
        self._forget_ends()
        self.oracle.vanished |= {key for key, one in self.world.containers.items() if one.status != "created"}
        for part in (self.world, self.cables, self.storage, self.shelf):
            part.lose_power()

    def _alive(self, kind: Kind) -> list[tuple[str, int, int]]:
        containers = self.world.containers.items()
        return [key for key, one in containers if one.status == "running" and one.run.kind == kind]

    def _forget_ends(self) -> None:
        """An end that nobody had read when the power went can be known by nobody."""
        _, entries = self.disk.replay()
        told = {(event.name, event.uid, event.run) for _, event in entries if isinstance(event, WorkloadExited)}
        self.oracle.ended = {key: code for key, code in self.oracle.ended.items() if key in told}

    def _kill(self, why: str) -> None:
        if self.life is not None:
            self.life.kill(why)

    async def step(self, point: str) -> None:
        """Between any two things a driver does to the world."""
        random = self.random
        if wrong := judge_now(self.world, self.cables, self.storage):
            self.fail("\n".join(wrong))
        if not self.faults:
            await asyncio.sleep(0.001)
            return
        await asyncio.sleep(random.expovariate(50.0))
        dice = random.random()
        if dice < 0.03:
            self._kill(f"in the middle of {point}")
            await self.judged.wait()  # not for an event of nobody's, of which a task that nobody cancels would be lost
            raise Crash
        if dice < 0.04 and ("volume" in point or point in ("mount", "unmount", "snapshot", "restore")):
            self.trace.note(f"fault: an error that nobody foresaw, in {point}")
            raise OSError(errno.EIO, "the simulated disk is broken")
        if dice < 0.07:
            self.trace.note(f"fault: no answer to {point}")
            if point in ("resolve", "fetch"):
                raise random.choice(SHUT_DOORS)("the simulated registry does not let us in")
            raise RuntimeUnavailable("the simulated runtime does not answer")
        if dice < 0.09 and point in ("layer", "create", "commit", "apply", "clone volume"):
            raise NoSpace("the simulated disk is full")

    # --- the end -------------------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        life = self.life
        assert life is not None
        await life.engine.durable()
        machine, entries = self.disk.replay()
        self.oracle.left = what_is_left(entries)
        held = {name for name in self.oracle.wishes if self.oracle.lacks_its_disk(name) or self.oracle.may_wait(name)}
        wrong = judge_hands(self.hands.ended, self.oracle.unwatched, held, machine, entries)
        wrong += self.oracle.judge(self.world, entries) + self.oracle.judge_network(self.cables)
        wrong += self.oracle.judge_storage(self.storage, entries)
        wrong += self.keyholders.judge_memory(machine) + self.keyholders.judge_actors(entries)
        wrong += self.oracle.judge_visits(self.world, entries) + judge_order(entries)
        wrong += judge_health(machine, entries) + self.safekeeper.judge(self.world, self.shelf, machine)
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

"""One simulated run: a machine, its daemon's lives, operators who call and repeat, and faults. All from one seed."""

import asyncio
import errno
from collections import Counter
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
from effects.goals import AttachNetwork, CleanRun, DetachNetwork, EnsureNetwork, RemoveWorkload, StopRun
from effects.images.registry_twin import Registries
from effects.images.twin import CacheWorld
from effects.network.twin import Cables
from effects.planner import plan, plan_object
from effects.secrets.twin import Shelf
from effects.volumes.twin import Storage
from journal.events import WorkloadExited
from projections.phases import LIVE
from projections.state import Machine
from projections.views import state_hash
from projections.words import KINDS
from tests.simulation.always import judge_now
from tests.simulation.asks import IMAGES, MEANINGS, NAMES, QUIET, REMOTE
from tests.simulation.disk import Disk
from tests.simulation.due import LOOK_S, Overdue
from tests.simulation.forgetting import EVERY, Archivist
from tests.simulation.hands import Hands
from tests.simulation.health import judge_health
from tests.simulation.keyholders import Keyholders
from tests.simulation.left import Left, judge_hands, what_is_left
from tests.simulation.life import Crash, Life
from tests.simulation.lingering import Lingering
from tests.simulation.operators import SETTLED_S, Operators
from tests.simulation.oracle import Oracle
from tests.simulation.order import judge_order
from tests.simulation.programs import Processes, Programs
from tests.simulation.releases import Release
from tests.simulation.removals import judge_removals
from tests.simulation.retries import judge_retries
from tests.simulation.secrets import Safe, Safekeeper
from tests.simulation.stale import judge_stale
from tests.simulation.storage import users
from tests.simulation.time import VirtualClock, VirtualLoop, unswept
from tests.simulation.trouble import trouble
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
NOTICE_S = 1.0
"""So soon, without faults, the daemon has heard of what another hand did, and has told it."""
CLEANED_S = 10.0
"""As soon as that what is due is reached, without faults."""
OUTAGE = 0.3
"""How many machines lose their power once more, when everything has been quiet for half of that."""
BROKEN_S = 240.0
LONGEST_PAUSE_S = 70.0
"""Longer than what failed however often waits, and than it then takes."""


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
        self.world = Processes(set())
        self.cache = CacheWorld(self.world.images)
        for image in IMAGES:
            for ref in (image.index_digest, *image.names):
                self.cache.record(ref, image)
        self.registries = Registries()
        self.resolved = Counter[str]()
        self.registries.offer(REMOTE, MEANINGS[0])
        self.cables = Cables()
        self.storage = Storage()
        self.shelf = Shelf()
        self.storage.in_use = lambda path: bool(users(self.world, path))
        self.world.now_ns = self.clock.wall_ns
        self.world.secrets = self.shelf.directory
        self.programs = Programs(self)
        self.world.on_start = self.programs.begin
        self.world.on_end = self.programs.ended
        self.world.post = self.cables.post = self.storage.post = self._post
        self.hands = Hands(self.world, self.cables, self.storage, self.cache, self.random)
        self.oracle = Oracle()
        self.faults = True
        self.broken_disk = False
        self.life: Life | None = None
        self.alive = asyncio.Event()
        self.broken: BaseException | None = None
        self.visits: list[asyncio.Future[int | None]] = []
        self.judged = asyncio.Event()
        self.noticed_s = 0.0
        self.keyholders = Keyholders(self)
        self.safekeeper = Safekeeper(self)
        self.archivist = Archivist(self)

    @unswept()
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
        operators = Operators(self)
        others: list[asyncio.Future[None]] = [asyncio.ensure_future(visit(self, name)) for name in (NAMES[0], QUIET)]
        others += operators.begin()
        others.append(asyncio.ensure_future(self.keyholders.run()))
        others.append(asyncio.ensure_future(self.safekeeper.run()))
        others.append(asyncio.ensure_future(trouble(self)))
        if self.seed % EVERY == 1:
            others.append(asyncio.ensure_future(self.archivist.run()))
        await asyncio.sleep(STORM_S)
        self.faults = False
        self.disk.full = False
        self.oracle.calm = len(self.disk.values())
        for kind in KINDS:
            self.world.break_streams(kind)  # a last look at what there is
        if self.life is not None and self.life.frozen:
            self.change_release()
        watchman = asyncio.ensure_future(self._watch())
        try:
            await asyncio.gather(*others)
            await self._rotate()
            self.trace.note(f"machine: another hand {self.hands.act('other port') or 'finds no TAP'}")
            self.noticed_s = self.loop.time() + NOTICE_S
            await asyncio.sleep(CALM_S / 2)
            if self.random.random() < OUTAGE:
                await self._outage(operators)
            await operators.late_words()
            await self._rotate()
            await asyncio.sleep(CALM_S / 2)
            await self._cleaned()
            await self._judge()
        finally:
            self.judged.set()
            watchman.cancel()
            power.cancel()
            for one in self.visits:
                one.cancel()
            await asyncio.gather(watchman, power, *self.visits, return_exceptions=True)
            left = asyncio.all_tasks() - {asyncio.current_task()}  # what a dead daemon would have brought to its end
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _rotate(self) -> None:
        """What runs is told of another value of the secret, or what is just about to."""
        await asyncio.sleep(self.random.choice((0.0, SETTLED_S)))
        await self.safekeeper.last_word()

    async def _outage(self, operators: Operators) -> None:
        """The disk of the volumes is broken, and while what failed for that waits, power is lost; or it is whole again
        when it has failed so often that nobody waits longer than the longest pause."""
        self.broken_disk = True
        await operators.of_volumes()
        if self.random.random() < 0.5:
            await asyncio.sleep(BROKEN_S)
            self.broken_disk = False
            await asyncio.sleep(LONGEST_PAUSE_S)
            assert self.life is not None
            left = [
                goal for name in NAMES if (goal := plan_object(self.life.engine.machine, f"volume/{name}")) is not None
            ]
            assert not left, f"the disk is whole for {LONGEST_PAUSE_S:.0f} s, and nobody has reached {left}"
            return
        self.trace.note("machine: power is lost in the quiet")
        self.lose_power()
        self.oracle.outage, self.broken_disk = True, False

    async def _watch(self) -> None:
        """From now on what is due is done soon, whoever has to be told that it is."""
        overdue, life, judged = Overdue(self.clock), self.life, 0
        left, settled = Left(), 0  # what was moved is told once
        lingering = Lingering()
        while True:
            await self.loop.sleep(LOOK_S)
            if self.broken_disk:
                lingering = Lingering()
            elif wrong := lingering.look(self.storage, self.oracle, self.loop.time()):
                self.fail("\n".join(wrong))
            if life is not self.life or not self.alive.is_set():
                overdue, life = Overdue(self.clock), self.life
            elif life is not None and (wrong := overdue.look(life.engine.machine)):
                self.fail("\n".join(wrong))
            elif life is not None and life.engine.machine.seq != judged and self._rests(life.engine.machine):
                judged = life.engine.machine.seq
                _, entries = self.disk.replay()
                moved = len(self.disk.moved)
                left, settled = what_is_left(entries[settled:moved], left), moved
                self.oracle.left = what_is_left(entries[moved:], left)
                if wrong := self.oracle.judge_network(self.world, self.cables):
                    self.fail("at rest: " + "\n".join(wrong))

    def _rests(self, machine: Machine) -> bool:
        """Nothing is asked, no other hand did what nobody knows of yet, nothing is due of the network, nor of anything now, and nobody lives on as he was declared
        before, until there is an image to replace him from, or for good where that was given up."""
        busy = (StopRun, RemoveWorkload, EnsureNetwork, AttachNetwork, DetachNetwork)
        if self.oracle.open_calls or self.loop.time() < self.noticed_s:
            return False
        if any(isinstance(goal, busy) or goal.not_before is None for goal in plan(machine)):
            return False
        runs = ((one.run, one.superseded) for one in machine.workloads.values())
        return not any(run is not None and run.phase in LIVE and run.number <= superseded for run, superseded in runs)

    def lives(self, name: str) -> bool:
        """Whether a process of this workload does."""
        return any(key[0] == name and one.status == "running" for key, one in self.world.containers.items())

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
            self.change_release()

    def change_release(self) -> None:
        """The other one is started from here on."""
        self.release = Release.TODAYS if self.release is Release.NEWER else Release.NEWER
        self.trace.note(f"machine: release {self.release.version} takes over")
        self.kill("replaced")

    def _post(self, put: Callable[[], None]) -> None:
        """A report of a driver's is brought; now and then twice, or late, so that others overtake it."""
        dice = self.random.random() if self.faults else 1.0
        if dice >= 0.1:
            put()
        if dice < 0.2:
            self.loop.call_later(self.random.expovariate(2.0), put)

    def lose_power(self) -> None:
        """With every process, link, mount and secret in memory."""
        self.kill("power")
        self.clock.reboot()
        self._forget_ends()
        self.oracle.vanished |= {key for key, one in self.world.containers.items() if one.status != "created"}
        for part in (self.world, self.cables, self.storage, self.shelf):
            part.lose_power()

    def _forget_ends(self) -> None:
        """An end that nobody had read when the power went can be known by nobody."""
        _, entries = self.disk.replay()
        told = {(event.name, event.uid, event.run) for _, event in entries if isinstance(event, WorkloadExited)}
        self.oracle.ended = {key: code for key, code in self.oracle.ended.items() if key in told}

    def kill(self, why: str) -> None:
        """The daemon dies, if one lives."""
        if self.life is not None:
            self.life.kill(why)

    async def step(self, point: str) -> None:
        """Between any two things a driver does to the world."""
        random = self.random
        if wrong := judge_now(self.world, self.cables, self.storage):
            self.fail("\n".join(wrong))
        on_volumes = "volume" in point or point in ("mount", "unmount", "snapshot", "restore")
        if not self.faults:
            await self.loop.sleep(0.001)
            if on_volumes and self.broken_disk:
                raise OSError(errno.EIO, "the simulated disk is broken")
            return
        await self.loop.sleep(random.expovariate(50.0))
        dice = random.random()
        if dice < 0.03:
            self.kill(f"in the middle of {point}")
            await self.judged.wait()  # not for an event of nobody's, of which a task that nobody cancels would be lost
            raise Crash
        if dice < 0.04 and on_volumes:
            self.trace.note(f"fault: an error that nobody foresaw, in {point}")
            raise OSError(errno.EIO, "the simulated disk is broken")
        if dice < (0.25 if point == "start" else 0.07):
            if point == "start":
                self.safekeeper.hurry.set()
            self.trace.note(f"fault: no answer to {point}")
            if point in ("resolve", "fetch"):
                raise random.choice(SHUT_DOORS)("the simulated registry does not let us in")
            raise RuntimeUnavailable("the simulated runtime does not answer")
        if dice < 0.09 and point in ("layer", "create", "commit", "apply", "clone volume"):
            raise NoSpace("the simulated disk is full")

    # --- the end -------------------------------------------------------------------------------------------------

    async def _cleaned(self) -> None:
        """Who runs for minutes may come to an end in the very moment that is to be judged: what he leaves is being taken
        away then. Nothing else is waited for."""
        assert self.life is not None
        until_s = self.loop.time() + CLEANED_S
        while self.loop.time() < until_s:
            machine = self.life.engine.machine
            due = [goal for goal in plan(machine) if goal.not_before is None]
            ends = [
                one for one in due if isinstance(one, CleanRun) and "end-late" in machine.workloads[one.name].spec.args
            ]
            if not due or len(ends) < len(due):
                return
            await asyncio.sleep(0.1)

    async def _judge(self) -> None:
        life = self.life
        assert life is not None
        await life.engine.durable()
        machine, entries = self.disk.replay()
        self.oracle.read(entries)
        held = {name for name in self.oracle.wishes if self.oracle.lacks_its_disk(name) or self.oracle.may_wait(name)}
        wrong = judge_hands(self.hands.ended, self.oracle.unwatched, held, machine, entries)
        wrong += self.oracle.judge(self.world, entries) + self.oracle.judge_network(self.world, self.cables)
        wrong += self.oracle.judge_rules(entries)
        wrong += self.oracle.judge_storage(self.storage, entries)
        wrong += self.keyholders.judge_memory(machine) + self.keyholders.judge_actors(entries)
        wrong += self.oracle.judge_visits(self.world, entries) + judge_order(entries)
        wrong += judge_stale(machine, entries[-1][0]) + self.archivist.judge(machine, entries)
        wrong += judge_retries(entries) + judge_removals(entries) + self.oracle.judge_memory(machine)
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

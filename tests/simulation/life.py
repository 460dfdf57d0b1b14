"""One life of a simulated machine's daemon."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from capsuled.answers import Answers
from capsuled.declare import Declarations
from capsuled.drift_watch import DriftWatch
from capsuled.engine import Engine
from capsuled.exec_stream import ExecStreams
from capsuled.heads import Heads
from capsuled.health_watch import HealthWatch
from capsuled.image_cache import ImageCache
from capsuled.memory import Recollection, Snapshots, recall
from capsuled.network_watch import NetworkWatch
from capsuled.observer import Observer
from capsuled.resolve import Resolver
from capsuled.retention import Retention
from capsuled.rollbacks import Rollbacks
from capsuled.secret_watch import SecretWatch
from capsuled.secrets import Unsealer
from capsuled.services.retention import RetentionService
from capsuled.stable_watch import StableWatch
from capsuled.startup import ClosedLog, opening_events
from capsuled.volume_watch import VolumeWatch
from effects.actions import Actions
from effects.health.twin import TwinProber
from effects.images.actions import ImageActions
from effects.images.registry_twin import TwinRegistry
from effects.images.twin import TwinImages
from effects.network.twin import TwinNetwork
from effects.runner import Runner
from effects.runs.by_kind import RunDrivers
from effects.runs.exec_protocol import ExecRequest
from effects.runs.exec_twin import TwinExec, TwinExecutor
from effects.runs.guest_twin import TwinGuests
from effects.runs.twin import Step, TwinContainers
from effects.secrets.twin import TwinSecretFiles
from effects.volumes.twin import TwinVolumes
from journal.entry import SYSTEM, Header
from journal.errors import JournalError, JournalReadOnly
from journal.events import EffectFailed, NetworkAttached, NetworkDrifted
from journal.reader import Reader
from journal.specs import ImagePin, Kind
from journal.writer import Journal
from tests.simulation.always import judge_network_told, judge_plugs
from tests.simulation.disk import SimulatedReader
from tests.simulation.due import GivenUp, wrongly_begun
from tests.simulation.releases import MeaningChanged, NewsTold, Release, become
from tests.simulation.store import Judged, SimulatedLog

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

T = TypeVar("T")


class Crash(BaseException):
    """The daemon dies here. No `except Exception` may hold it up."""


SNAPSHOT_ENTRIES = 60
_LOOKS = frozenset(
    {
        "observe",
        "exit",
        "observe network",
        "compare rules",
        "observe volumes",
        "thaw volumes",
        "sweep",
        "sweep of one",
        "look for obstacles",
    }
)
"""All that a daemon may do to the world that does not understand its state. It thaws what it froze, and ends what exec
left: neither is anybody's state."""


_READABLE = JournalError("there is a reader")
_FIRST = ("observe container", "observe microvm", "observe network", "observe volumes")
"""What a daemon looks at before it acts."""


async def _at_once(work: Callable[[], T]) -> T:
    """See capsuled.secrets.Beside: a thread would come back in an order that no seed gives again."""
    return work()


class JudgedExecutor(TwinExecutor):
    """Nothing begins inside before the entry that says so is durable."""

    def __init__(self, simulation: "Simulation", log: SimulatedLog, step: Step) -> None:
        super().__init__(simulation.world, step)
        self._simulation, self._log = simulation, log

    async def open(self, request: ExecRequest) -> TwinExec:
        try:
            self._log.judge_durable("exec", request.name)
        except AssertionError as wrong:
            self._simulation.fail(str(wrong))
        return await super().open(request)


class JudgedImages(TwinImages):
    """No image goes out before the entry that asks for it is durable."""

    def __init__(self, simulation: "Simulation", log: SimulatedLog, step: Step, registry: TwinRegistry) -> None:
        super().__init__(simulation.cache, step, registry)
        self._simulation, self._log = simulation, log

    async def remove(self, records: Sequence[str]) -> int:
        try:
            for record in records:
                self._log.judge_durable("image", record)
        except AssertionError as wrong:
            self._simulation.fail(str(wrong))
        return await super().remove(records)


class CountedRegistry(TwinRegistry):
    """It is known how often each name was asked for."""

    def __init__(self, simulation: "Simulation", step: Step) -> None:
        super().__init__(simulation.registries, step)
        self._resolved = simulation.resolved

    async def resolve(self, ref: str) -> ImagePin:
        self._resolved[ref] += 1
        return await super().resolve(ref)


class Life:
    """One life of the daemon: built as capsuled/daemon.py builds it, on simulated drivers and a simulated disk."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._killed = simulation.loop.create_future()
        self._unseen = set(_FIRST)
        self._given_up = GivenUp()
        whole, entries = simulation.disk.replay()
        forgotten = simulation.oracle.judge_memory(whole) + simulation.keyholders.judge_memory(whole)
        assert not forgotten, "\n".join(forgotten)
        become(simulation.release)
        reader = cast(Reader, SimulatedReader(simulation.disk, simulation.release))
        recalled = recall(reader)
        self.frozen = bool(recalled.frozen_by)
        machine = recalled.machine
        unknown = simulation.release is Release.TODAYS and any(
            isinstance(event, MeaningChanged) for _, event in entries
        )
        assert self.frozen == unknown, f"release {simulation.release} is frozen: {self.frozen}"
        assert self.frozen or machine == whole, "a snapshot is not what its entries fold to"
        self.log = SimulatedLog(
            simulation.disk, simulation.clock, simulation.random, simulation.release, self._judge_beginning
        )
        able = frozenset({"network.bridge", "volume", "microvm"})
        closed = ClosedLog(JournalReadOnly(recalled.frozen_by))
        self.engine = Engine(closed if self.frozen else self.log, machine, simulation.clock, able)
        snapshots = Snapshots(cast(Journal, self.log), recalled.snapshot_seq, SNAPSHOT_ENTRIES)
        self.engine.on_commit(snapshots.consider)
        self._network = TwinNetwork(simulation.cables, self._step)
        self._volumes = TwinVolumes(simulation.storage, self._step)
        self._secrets = TwinSecretFiles(simulation.shelf, self._step)
        self._runs: RunDrivers = {
            "container": TwinContainers(simulation.world, partial(self._step_of, "container")),
            "microvm": TwinContainers(simulation.world, partial(self._step_of, "microvm"), kind="microvm"),
        }
        self._guests = TwinGuests(simulation.world, self._step)
        registry = CountedRegistry(simulation, self._step)
        self.images = JudgedImages(simulation, self.log, self._step, registry)
        self.cache = ImageCache(self.engine, self.images, registry, simulation.clock)
        resolver = Resolver(self.images, registry, simulation.safe, TwinNetwork.subnet)
        answers = Answers(self.engine, Recollection(reader))
        self.declarations = Declarations(self.engine, resolver, answers)
        self.rollbacks = Rollbacks(self.engine, resolver, answers, reader, _READABLE)
        self._retention = Retention(cast(Journal, self.log), reader)
        self.forgetting = RetentionService(self.engine, reader, self._retention, _READABLE)
        self.heads = Heads(reader)
        self.execs = ExecStreams(self.engine, JudgedExecutor(simulation, self.log, self._step))

    async def _step(self, point: str) -> None:
        """A dead daemon's driver calls nothing any more, and a frozen one's changes nothing."""
        if self._killed.done():
            await self._end()
        if self.frozen and point not in _LOOKS:
            self._simulation.fail(f"{point}: a release acts on what it does not understand")
        await self._simulation.step(point)
        if self._killed.done():
            await self._end()
        self._unseen.discard(point)

    async def _step_of(self, kind: Kind, point: str) -> None:
        await self._step(point)
        self._unseen.discard(f"{point} {kind}")

    async def _end(self) -> None:
        await self._simulation.judged.wait()
        raise Crash

    def kill(self, why: str) -> None:
        """From here on nothing of this life does anything."""
        if not self._killed.done():
            self._simulation.trace.note(f"daemon: {why}")
            self._judge_state()
            self.log.crash()
            self._killed.set_result(None)

    def _judge_state(self) -> None:
        """What it worked with is the fold of what it wrote, down to the last entry; what it called done is."""
        if not self.frozen:
            simulation = self._simulation
            written, _ = simulation.disk.replay(self.log.behind())
            if written != self.engine.machine:
                simulation.fail("the state is not the fold of the journal")
            wrong = simulation.safekeeper.judge_guests(simulation.world, simulation.shelf, written)
            if wrong := wrong + judge_plugs(written, simulation.world, simulation.cables):
                simulation.fail("\n".join(wrong))

    def _judge_beginning(self, header: Header, event: Judged) -> None:
        if isinstance(event, NetworkAttached | NetworkDrifted):
            if wrong := judge_network_told(self.engine.machine, self._simulation.cables, event):
                self._simulation.fail(f"at {header.seq}: {wrong}")
            return
        if wrong := self._given_up.told(self.engine.machine, event):
            self._simulation.fail(wrong)
        if isinstance(event, EffectFailed):
            return
        if wrong := wrongly_begun(self.engine.machine, header, event):
            self._simulation.fail(wrong)
        if self._unseen:
            self._simulation.fail(f"{event} began at {header.seq}, and nobody had looked: {sorted(self._unseen)}")

    async def visited(self, call: Coroutine[Any, Any, int | None]) -> int | None:
        """An exec. One whose daemon dies is left as it stands: a dead daemon tidies nothing up."""
        task = asyncio.ensure_future(call)
        self._simulation.visits.append(task)
        return await self._until_killed(task)

    async def unended(self, call: Coroutine[Any, Any, T]) -> T:
        """A call that no cancellation ends: one whose daemon dies is left, too, and nobody hears of it any more."""
        return await self._until_killed(asyncio.ensure_future(call))

    async def _until_killed(self, task: asyncio.Future[T]) -> T:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait((task, self._killed), return_when=asyncio.FIRST_COMPLETED)
        if self._killed.done():
            raise Crash
        return task.result()

    async def guarded(self, call: Coroutine[Any, Any, T]) -> T:
        """A client's call: an answer of a daemon that died meanwhile is none."""
        task = asyncio.ensure_future(call)
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
            if not self.frozen:
                group.create_task(self.log.write())
                self._begin()
            await self.engine.durable()
            if not self.frozen:
                await self._retention.resume()
            storage = VolumeWatch(self.engine, self._volumes, simulation.clock, frozen=self.frozen)
            await storage.begin(5.0)
            simulation.alive.set()
            simulation.trace.note(f"daemon: alive{', frozen' if self.frozen else ''}, release {simulation.release}")
            group.create_task(self.execs.sweep(simulation.clock))
            observer = Observer(self.engine, self._runs, simulation.clock, frozen=self.frozen)
            group.create_task(observer.run())
            watch = NetworkWatch(self.engine, self._network, simulation.clock, frozen=self.frozen)
            group.create_task(watch.run())
            await storage.thaw()
            group.create_task(storage.run())
            await observer.synced.wait()
            await watch.look()
            await storage.look()
            group.create_task(storage.follow())
            await SecretWatch(self.engine, self._secrets, simulation.clock, frozen=self.frozen).look()
            if self.frozen:
                return
            await self.cache.look()
            group.create_task(self.cache.run())
            group.create_task(self.cache.follow())
            group.create_task(DriftWatch(self.engine, simulation.clock).run())
            actions = Actions(
                self.engine,
                self._runs,
                self._network,
                self._volumes,
                self._secrets,
                ImageActions(self.engine, self.images, self.cache.pulls),
                Unsealer(simulation.safe, _at_once),
                simulation.clock,
                self._guests,
            )
            runner = Runner(self.engine, actions, simulation.clock, group)
            observer.acting_on = storage.acting_on = runner.acting_on
            health = HealthWatch(
                self.engine, TwinProber(simulation.world, self._step, simulation.programs.is_well), simulation.clock
            )
            self.engine.on_change(health.wake)
            group.create_task(health.run())
            stable = StableWatch(self.engine, simulation.clock)
            self.engine.on_change(stable.wake)
            group.create_task(stable.run())
            self.engine.on_change(runner.wake)
            runner.open()

    def _begin(self) -> None:
        """The first facts of this life; of a newer release's some that today's cannot read."""
        simulation = self._simulation
        self.engine.record(opening_events(self.engine.machine, simulation.clock, 1), reserved=True, actor=SYSTEM)
        if simulation.release is Release.NEWER:
            news = NewsTold(self.engine.machine.seq)
            changed = (MeaningChanged(news.life),) if simulation.random.random() < 0.05 else ()
            self.engine.record((news, *changed), reserved=True, actor=SYSTEM)

    async def _die(self) -> None:
        await self._killed
        raise Crash

"""The runner: reaches the planner's goals, one workload in order, different workloads side by side. Never polls.

A lane per workload: plan, journal the start (durable before anything moves), act through the driver, journal the
outcome, plan again. A lane ends when nothing is due and is made again by the next event of its workload. Every goal
may be tried again after a crash at any point: the drivers look before they act.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from effects.containers.protocol import ContainerDriver, ContainerRun, ObservedRun
from effects.errors import DriverError
from effects.goals import (
    AttachNetwork,
    CleanRun,
    DetachNetwork,
    Effect,
    EnsureNetwork,
    RemoveWorkload,
    StartRun,
    StopRun,
    kind_of,
    run_of,
)
from effects.network.protocol import Link, NetworkDriver
from effects.planner import plan_workload
from journal.clock import Clock
from journal.errors import JournalFull
from journal.events import (
    EffectDone,
    EffectFailed,
    EffectStarted,
    Event,
    NetworkAttached,
    NetworkDetached,
    NetworkEnsured,
    WorkloadRemoved,
)
from journal.specs import ContainerSpec
from projections.network import in_use
from projections.observations import SeenRun, lost, observe_run
from projections.phases import LIVE
from projections.restarts import retry_delay_ms
from projections.state import Deadline, Machine

log = logging.getLogger(__name__)

FULL_RETRY_S = 5.0

Unseal = Callable[[ContainerSpec], tuple[tuple[str, str], ...]]
"""The clear values of a spec's environment. Raises DriverError when one cannot be opened."""


class Recorder(Protocol):
    """The way into the journal that the runner needs; the daemon's engine is one."""

    @property
    def machine(self) -> Machine:
        """The head state."""
        ...

    def record(self, events: Sequence[Event], cause: int = 0, reserved: bool = False) -> int:
        """Append and fold; the first entry's seq, 0 if there was none."""
        ...

    async def durable(self) -> None:
        """Return once everything recorded so far is durable."""
        ...


class Lane:
    """One workload's work: woken by events, and the seq of the last one is the cause of what is done next.

    `acting` is the entry of the effect in progress, 0 between two."""

    def __init__(self, cause: int) -> None:
        self.cause = cause
        self.acting = 0
        self.woken = asyncio.Event()


class Runner:
    """Runs the lanes inside the task group it is given."""

    def __init__(
        self,
        recorder: Recorder,
        containers: ContainerDriver,
        network: NetworkDriver,
        unseal: Unseal,
        clock: Clock,
        group: asyncio.TaskGroup,
        concurrency: int = 16,
    ) -> None:
        self._recorder = recorder
        self._containers = containers
        self._network = network
        self._rules = asyncio.Lock()
        self._unseal = unseal
        self._clock = clock
        self._group = group
        self._lanes: dict[str, Lane] = {}
        self._room = asyncio.Semaphore(concurrency)
        self._open = False

    def open(self) -> None:
        """Begin to act: everything that exists has been observed."""
        self._open = True
        for name in sorted(self._recorder.machine.workloads):
            self.wake(name, 0)

    def wake(self, name: str, cause: int) -> None:
        """An entry changed this workload."""
        if not self._open:
            return
        lane = self._lanes.get(name)
        if lane is not None:
            lane.cause = cause or lane.cause
            lane.woken.set()
        elif self._due(name) is not None:
            lane = self._lanes[name] = Lane(cause)
            self._group.create_task(self._work(name, lane), name=f"lane {name}")

    def acting_on(self, name: str) -> int:
        """The entry of the effect that is at work on a workload: the cause of what is observed of it now. 0 if none."""
        lane = self._lanes.get(name)
        return 0 if lane is None else lane.acting

    @property
    def idle(self) -> bool:
        """Whether no lane is at work."""
        return not self._lanes

    def _due(self, name: str) -> Effect | None:
        workload = self._recorder.machine.workloads.get(name)
        return None if workload is None else plan_workload(self._recorder.machine, workload)

    async def _work(self, name: str, lane: Lane) -> None:
        try:
            while (goal := self._due(name)) is not None:
                lane.woken.clear()
                seconds = self._seconds_until(goal.not_before)
                if seconds > 0:
                    await self._hold(lane, seconds)
                else:
                    try:
                        async with self._rules if isinstance(goal, EnsureNetwork) else self._room:
                            # Meanwhile another lane may have done it: the rules are everybody's.
                            if not isinstance(goal, EnsureNetwork) or goal == self._due(name):
                                await self._reach(goal, lane)
                    except JournalFull as full:
                        # Nothing may be begun that cannot be remembered; the disk gives no event when it is freed.
                        log.warning("%s waits: %s", name, full)
                        await self._hold(lane, FULL_RETRY_S)
        finally:
            # No await since `_due` said None: nothing can have woken this lane meanwhile.
            del self._lanes[name]

    def _seconds_until(self, deadline: Deadline | None) -> float:
        if deadline is None or deadline.boot != self._clock.boot_id:
            return 0.0
        return (deadline.mono_ns - self._clock.mono_ns()) / 1e9

    async def _hold(self, lane: Lane, seconds: float) -> None:
        """Wait for the deadline or the next event, whichever comes first."""
        try:
            async with asyncio.timeout(seconds):
                await lane.woken.wait()
        except TimeoutError:
            pass

    async def _reach(self, goal: Effect, lane: Lane) -> None:
        """One try at one goal, from its durable start to its durable outcome."""
        recorder = self._recorder
        begun = EffectStarted(
            effect=kind_of(goal),
            name=goal.name,
            uid=goal.uid,
            run=run_of(goal),
            revision=goal.revision if isinstance(goal, StartRun) else 0,
            attempt=goal.attempt,
        )
        started = lane.acting = recorder.record((begun,), cause=lane.cause, reserved=not isinstance(goal, StartRun))
        await recorder.durable()
        try:
            await self._act(goal, started)
        except DriverError as error:
            failed = EffectFailed(
                effect=kind_of(goal),
                name=goal.name,
                uid=goal.uid,
                run=run_of(goal),
                reason=error.reason,
                message=error.message,
                attempt=goal.attempt,
                retry_delay_ms=0 if error.permanent and isinstance(goal, StartRun) else retry_delay_ms(goal.attempt),
                permanent=error.permanent and isinstance(goal, StartRun),
            )
            recorder.record((failed,), cause=started, reserved=True)
            await recorder.durable()
        finally:
            lane.acting = 0

    async def _act(self, goal: Effect, started: int) -> None:
        done = EffectDone(effect=kind_of(goal), name=goal.name, uid=goal.uid, run=run_of(goal))
        match goal:
            case EnsureNetwork():
                await self._network.ensure(goal.mappings)
                ensured = NetworkEnsured(goal.upto, len(goal.mappings))
                self._recorder.record((ensured, done), cause=started, reserved=True)
            case AttachNetwork():
                await self._network.attach(Link(goal.name, goal.uid, goal.address))
                attached = NetworkAttached(goal.name, goal.uid, goal.address)
                self._recorder.record((attached, done), cause=started, reserved=True)
            case DetachNetwork():
                await self._unlink(goal.name, goal.uid)
                self._recorder.record((NetworkDetached(goal.name, goal.uid), done), cause=started, reserved=True)
            case StartRun():
                seen = await self._containers.ensure_running(self._container(goal))
                self._recorder.record((*self._news(seen), done), cause=started, reserved=True)
            case StopRun():
                end = await self._containers.stop(goal.name, goal.uid, goal.run, goal.grace_ms)
                if end is not None:
                    # The exit is durable before the runtime forgets it: a crash between the two loses no exit code.
                    self._recorder.record(self._news(end), cause=started, reserved=True)
                    await self._recorder.durable()
                await self._containers.remove_run(goal.name, goal.uid, goal.run)
                self._recorder.record((*self._gone(goal), done), cause=started, reserved=True)
            case CleanRun():
                await self._containers.remove_run(goal.name, goal.uid, goal.run)
                self._recorder.record((done,), cause=started, reserved=True)
            case RemoveWorkload():
                await self._containers.remove_workload(goal.name, goal.uid)
                if (removed_one := self._recorder.machine.workloads.get(goal.name)) and removed_one.address:
                    await self._unlink(goal.name, goal.uid)
                removed = WorkloadRemoved(goal.name, goal.uid)
                self._recorder.record((done, removed), cause=started, reserved=True)
            case _:
                assert_never(goal)
        await self._recorder.durable()

    async def _unlink(self, name: str, uid: int) -> None:
        """The link goes, and with the last one the bridge: a machine that uses neither has neither."""
        await self._network.detach(name, uid)
        async with self._rules:
            if not in_use(self._recorder.machine, but=name):
                await self._network.clear()

    def _container(self, goal: StartRun) -> ContainerRun:
        spec = goal.spec
        return ContainerRun(
            name=goal.name,
            uid=goal.uid,
            revision=goal.revision,
            run=goal.run,
            image=spec.image.platform_digest,
            command=spec.command,
            args=spec.args,
            env=self._unseal(spec),
            working_dir=spec.working_dir,
            user=spec.user,
            network=spec.network,
            namespace=self._network.namespace(goal.name, goal.uid) if spec.network == "bridge" else "",
            privileged=spec.privileged,
            host_pid=spec.host_pid,
            host_ipc=spec.host_ipc,
            host_mount=spec.host_mount,
            host_bind_paths=spec.host_bind_paths,
            host_binds=spec.host_binds,
            tmpfs=spec.tmpfs,
            shm_bytes=spec.shm_bytes,
            hostname=spec.hostname,
            extra_hosts=spec.extra_hosts,
            stop_signal=spec.stop_signal,
            resources=spec.resources,
            ulimits=spec.ulimits,
            cap_add=spec.cap_add,
            cap_drop=spec.cap_drop,
            read_only_root=spec.read_only_root,
            new_privileges=spec.new_privileges,
            seccomp=spec.seccomp,
            labels=goal.labels,
        )

    def _news(self, seen: ObservedRun) -> tuple[Event, ...]:
        """What the driver's answer adds to the state; a run that came up and ended at once adds both."""
        machine, clock = self._recorder.machine, self._clock
        return observe_run(machine, seen_run(seen), clock.boot_id, clock.mono_ns())

    def _gone(self, goal: StopRun) -> tuple[Event, ...]:
        """A run that should be stopped and that nobody has seen end is lost, not for ever stopping."""
        workload = self._recorder.machine.workloads.get(goal.name)
        run = None if workload is None or workload.uid != goal.uid else workload.run
        if run is None or run.number != goal.run or run.phase not in LIVE:
            return ()
        assert workload is not None
        reason = "nothing of it was found when it was stopped"
        return (lost(workload, run, reason, self._clock.boot_id, self._clock.mono_ns()),)


def seen_run(observed: ObservedRun) -> SeenRun:
    """A driver's report in the words of the projections."""
    return SeenRun(
        name=observed.name,
        uid=observed.uid,
        run=observed.run,
        revision=observed.revision,
        alive=observed.status == "running",
        pid=observed.pid,
        exit_code=observed.exit_code if observed.status == "stopped" else None,
        exited_at=observed.exited_at_ns,
        oom_kills=observed.oom_kills,
        memory_limit_bytes=observed.memory_limit_bytes,
        unexecutable=observed.unexecutable,
    )

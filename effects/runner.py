"""The runner: reaches the planner's goals, one workload in order, different workloads side by side. Never polls.

A lane per workload: plan, journal the start (durable before anything moves), act through the driver, journal the
outcome, plan again. A lane ends when nothing is due and is made again by the next event of its workload. Every goal
may be tried again after a crash at any point: the drivers look before they act.
"""

import asyncio
import logging

from msgspec.structs import replace

from effects.actions import VOLUME, Actions
from effects.errors import (
    DriverError,
    GuestFailed,
    GuestSilent,
    NoSpace,
    SnapshotDamaged,
    SnapshotMissing,
    VolumeDamaged,
    VolumeFailed,
    VolumeTooLarge,
)
from effects.goals import (
    Effect,
    EnsureImage,
    EnsureVolume,
    RestoreVolume,
    StartRun,
    StopRun,
    TakeSnapshot,
    kind_of,
    run_of,
    snapshot_of,
)
from effects.planner import awaited_by, plan_object
from effects.recorder import Recorder
from journal.clock import Clock
from journal.errors import JournalError, JournalFull
from journal.events import EffectAbandoned, EffectDone, EffectFailed, EffectStarted, VolumeRemoved, WorkloadRemoved
from projections.restarts import retry_delay_ms
from projections.state import Deadline
from projections.volumes import users_of

log = logging.getLogger(__name__)

FULL_RETRY_S = 5.0
LEFT_LOOK_S = 0.2
"""Until the next look whether what is overtaken can be left by now."""
FIRST_TRIES = 3
"""What a goal may use all of the journal's reserve for. Later ones leave the part for what is vital: a goal that cannot
be reached for days would use it up."""
PATIENT_TRIES = 5
"""A snapshot or a restore that the storage refuses so often is given up: until then what uses the volume is down."""
_BEGINS = EnsureImage | StartRun
"""Goals that bring something new: they leave the journal's reserve to others, and may be given up for good."""
_UNREACHABLE = {
    TakeSnapshot: NoSpace | GuestSilent | GuestFailed,
    RestoreVolume: NoSpace | SnapshotMissing | SnapshotDamaged | VolumeTooLarge,
}
"""What trying again does not help."""


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
        actions: Actions,
        clock: Clock,
        group: asyncio.TaskGroup,
    ) -> None:
        self._recorder = recorder
        self._actions = actions
        self._clock = clock
        self._group = group
        self._lanes: dict[str, Lane] = {}
        self._waiting: dict[str, set[str]] = {}
        self._open = False

    def open(self) -> None:
        """Begin to act: everything that exists has been observed."""
        self._open = True
        machine = self._recorder.machine
        for key in (*(VOLUME + name for name in sorted(machine.volumes)), *sorted(machine.workloads)):
            self._wake(key, 0)

    def wake(self, key: str, cause: int) -> None:
        """An entry changed this object (`plan_object` says what keys are). A volume's users may wait for it."""
        if not self._open:
            return
        self._wake(key, cause)
        for waiting in self._waiting.pop(key, ()):
            self._wake(waiting, cause)
        if key.startswith(VOLUME):
            for user in users_of(self._recorder.machine, key.removeprefix(VOLUME)):
                self._wake(user, cause)

    def _wake(self, name: str, cause: int) -> None:
        lane = self._lanes.get(name)
        if lane is not None:
            lane.cause = cause or lane.cause
            lane.woken.set()
        elif self._due(name) is not None:
            lane = self._lanes[name] = Lane(cause)
            self._group.create_task(self._work(name, lane), name=f"lane {name}")

    def _wake_those_on_the_bridge(self, cause: int) -> None:
        """What was removed may have left while the rules could not be made: they are everybody's who stays."""
        for name, workload in tuple(self._recorder.machine.workloads.items()):
            if workload.address:
                self._wake(name, cause)

    def acting_on(self, name: str) -> int:
        """The entry of the effect that is at work on a workload: the cause of what is observed of it now. 0 if none."""
        lane = self._lanes.get(name)
        return 0 if lane is None else lane.acting

    @property
    def idle(self) -> bool:
        """Whether no lane is at work."""
        return not self._lanes

    def _due(self, name: str) -> Effect | None:
        machine = self._recorder.machine
        goal = plan_object(machine, name)
        if goal is None:
            # Woken by what it waits for: whoever changes does not look through all others for who depends on it.
            for other in awaited_by(machine, name):
                self._waiting.setdefault(other, set()).add(name)
        return goal

    async def _work(self, name: str, lane: Lane) -> None:
        told = False
        try:
            while (goal := self._due(name)) is not None:
                lane.woken.clear()
                seconds = self._seconds_until(goal.not_before)
                if seconds > 0:
                    await self._hold(lane, seconds)
                else:
                    try:
                        if isinstance(goal, EnsureImage) or (isinstance(goal, StartRun) and goal.spec.vm is not None):
                            await self._while_due(goal, name, lane)
                        else:
                            await self._attempt(goal, name, lane)
                        told = False
                    except JournalFull as full:
                        # Nothing may be begun that cannot be remembered; the disk gives no event when it is freed.
                        if not told:
                            log.warning("%s waits: %s", name, full)
                        told = True
                        await self._hold(lane, FULL_RETRY_S)
        finally:
            # No await since `_due` said None: nothing can have woken this lane meanwhile.
            del self._lanes[name]

    async def _attempt(self, goal: Effect, name: str, lane: Lane) -> None:
        async with self._actions.guard(goal):
            # While this lane waited, another may have done it, or things may have changed.
            if goal == self._due(name):
                await self._reach(goal, lane)

    async def _while_due(self, goal: EnsureImage | StartRun, name: str, lane: Lane) -> None:
        """A goal that may take as long as a slow network does, or a guest that boots: it is given up as soon as
        something else is due, the guest's only for its end."""
        work = asyncio.ensure_future(self._attempt(goal, name, lane))
        overtaken = False
        try:
            while not work.done():
                woken = asyncio.ensure_future(lane.woken.wait())
                patience_s = LEFT_LOOK_S if overtaken else None
                try:
                    await asyncio.wait((work, woken), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    woken.cancel()
                if work.done():
                    break
                if lane.woken.is_set():
                    lane.woken.clear()
                    overtaken = self._is_given_up(goal, name)
                if overtaken and (not lane.acting or self._actions.may_be_left(goal)):
                    self._abandon(goal, lane)
                    break
        finally:
            work.cancel()
            await asyncio.wait((work,))
        if not work.cancelled():
            work.result()

    def _is_given_up(self, goal: EnsureImage | StartRun, name: str) -> bool:
        due = self._due(name)
        return isinstance(due, StopRun) if isinstance(goal, StartRun) else not _is_same(goal, due)

    def _abandon(self, goal: EnsureImage | StartRun, lane: Lane) -> None:
        """Say that nobody is at it any more; there is nothing to say of one that still waited for its turn."""
        if lane.acting:
            left = EffectAbandoned(effect=kind_of(goal), name=goal.name, uid=goal.uid, run=run_of(goal))
            self._recorder.record((left,), cause=lane.acting, vital=True)

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
        ends = not isinstance(goal, _BEGINS)
        vital = ends and goal.attempt <= FIRST_TRIES
        started = lane.acting = recorder.record((begun,), cause=lane.cause, reserved=ends, vital=vital)
        await recorder.durable()
        try:
            events = await self._actions.reach(goal, started)
            done = EffectDone(effect=kind_of(goal), name=goal.name, uid=goal.uid, run=run_of(goal))
            # What came of it finds room wherever its start did: else it would be begun again, and again noted as begun.
            # What ends the object is told last: an effect on nothing would be nobody's.
            last = isinstance(events[-1] if events else None, WorkloadRemoved | VolumeRemoved)
            recorder.record((done, *events) if last else (*events, done), cause=started, vital=True)
            if last:
                self._wake_those_on_the_bridge(started)
        except (JournalError, AssertionError):
            raise  # nothing may be done that cannot be remembered, or on a state that cannot be
        except Exception as unexpected:
            error = unexpected if isinstance(unexpected, DriverError) else _broken(goal, unexpected)
            final = _is_final(goal, error) and not self._is_overtaken(goal)
            failed = EffectFailed(
                effect=kind_of(goal),
                name=goal.name,
                uid=goal.uid,
                run=run_of(goal),
                reason=error.reason,
                message=error.message,
                attempt=goal.attempt,
                retry_delay_ms=0 if final else retry_delay_ms(goal.attempt),
                permanent=final,
                snapshot=snapshot_of(goal),
                size_bytes=goal.size_bytes if isinstance(goal, EnsureVolume) else 0,
            )
            recorder.record((failed,), cause=started, vital=True)
        finally:
            lane.acting = 0
        await recorder.durable()

    def _is_overtaken(self, goal: Effect) -> bool:
        """Whether something else is wanted by now: of that nothing has been given up."""
        return isinstance(goal, _BEGINS) and not _is_same(goal, self._due(goal.name))


def _is_same(goal: Effect, due: Effect | None) -> bool:
    """Whether what is at work is still due. Which try it is and when that may begin says nothing of it: either changes
    when other trouble of the object's is over."""
    return due is not None and replace(due, attempt=goal.attempt, not_before=goal.not_before) == goal


def _is_final(goal: Effect, error: DriverError) -> bool:
    """Whether the goal is given up. A snapshot, a restore or a growth without room is, a snapshot for which a guest
    does not hold still, and a restore of one that is of no use. So is a snapshot or a restore that the storage goes on
    to refuse, as it does on a bad sector: the volume is used as it was."""
    if isinstance(goal, TakeSnapshot | RestoreVolume):
        refused = isinstance(error, VolumeFailed | VolumeDamaged) and goal.attempt >= PATIENT_TRIES
        return refused or isinstance(error, _UNREACHABLE[type(goal)])
    if isinstance(goal, EnsureVolume):
        return isinstance(error, VolumeTooLarge) or (goal.made_bytes > 0 and isinstance(error, NoSpace))
    return error.permanent and isinstance(goal, _BEGINS)


def _broken(goal: Effect, error: Exception) -> DriverError:
    """A fault that no driver foresaw: this one goal waits and is tried again, and everything else goes on."""
    log.error("%s of %s met a fault of its own", kind_of(goal), goal.name, exc_info=error)
    return DriverError(f"{type(error).__name__}: {error}: the daemon's log has where")

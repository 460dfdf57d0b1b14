"""The driver of microVMs: each run is one boot of a machine whose monitor is QEMU, found again by its directory.

Order of a start: the run's record, the disks, the monitor, which is written down before it begins (launching.py); then
the guest says that its payload has become its command. A start that was cut anywhere is completed by the next one: what
lives is waited for, what died before that word is made anew, and what died after it has been and ended.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator

import msgspec

from effects.alive import KILL_WAIT_S
from effects.errors import DriverError, RuntimeUnavailable, StartFailed, unwritten
from effects.microvms import cgroup
from effects.microvms.acceleration import Acceleration, Chosen, buried
from effects.microvms.booting import Boot, Booting
from effects.microvms.command_line import command_line, descriptors
from effects.microvms.confinement import LIMITS, share_of, user_of
from effects.microvms.launching import Order, Start, launch
from effects.microvms.monitor import Monitor, Monitors, Reaped, identity_of
from effects.microvms.opening import Opened, opening
from effects.microvms.places import Key, Places, RunFiles, RunRecord
from effects.microvms.power import press
from effects.microvms.protocol import Agents
from effects.microvms.relay import chardev
from effects.microvms.remains import Remains, ended, last_line, never_ran
from effects.microvms.vsock import dialled
from effects.runs import cgroups
from effects.runs.names import container_id
from effects.runs.protocol import Resync, RunSpec
from projections.observations import ObservedRun

log = logging.getLogger(__name__)

STARTED_S = 120.0
"""For a guest to run its payload, from the monitor's start: without hardware virtualisation and on a machine with much
to do it takes half a minute."""
ASK_S = 30.0
"""For an agent to hear that its payload shall end, however short the grace is: it begins behind the payload, and
without hardware virtualisation that takes as long as the boot did."""
AGAIN_S = 0.2
UNMOUNT_S = 60.0
"""After the grace, for a guest to write down what its volumes still hold in memory. It is killed then."""
LAUNCHER_WAIT_S, LAUNCHER_LOOK_S = 10.0, 0.05


class QemuDriver:
    """MicroVMs of one capsule. `start` starts processes, `reaped` hears how one of ours ended; `cgroup_parent` is where
    this capsule's runs live, `boot` the machine's boot id, `unmount_s` what a guest may take after its payload's end.
    """

    def __init__(
        self,
        places: Places,
        booting: Booting,
        acceleration: Acceleration,
        agents: Agents,
        start: Start,
        reaped: Reaped,
        cgroup_parent: str,
        boot: str,
        unmount_s: float = UNMOUNT_S,
    ) -> None:
        self._places = places
        self._booting = booting
        self._acceleration = acceleration
        self._agents = agents
        self.start = start
        self._reaped = reaped
        self._cgroup_parent = cgroup_parent
        self._boot = boot
        self._unmount_s = unmount_s
        self._monitors = Monitors(reaped, self._over, self._suffered)
        self._remains = Remains(self._group, boot)
        self._listeners: list[asyncio.Queue[ObservedRun | Resync]] = []

    def close(self) -> None:
        """Let go of all; they live on."""
        for monitor in self._monitors.known():
            self._agents.remove(monitor.key)
        self._monitors.close()

    def silent(self, key: Key, why: str) -> None:
        """The agent of a run does not answer: what nobody can reach is ended, and the restart policy has its say."""
        monitor = self._monitors.get(key)
        if monitor is not None:
            log.warning("%s run %d is ended: %s", key.name, key.run, why)
            monitor.kill("silent", why)

    # --- looking -------------------------------------------------------------------------------------------------

    async def observe(self) -> tuple[ObservedRun, ...]:
        """See the protocol."""
        return tuple([self._look(key) for key in self._places.runs()])

    def _look(self, key: Key) -> ObservedRun:
        """A run as it is, adopted if it lives, judged if it has ended and nobody has."""
        files = self._places.of(key)
        record = files.run() or RunRecord()
        verdict = files.verdict()
        if verdict is None:
            monitor = self._living(key)
            if monitor is not None:
                return self._alive(monitor)
            verdict = self._remains.judge(key, files, record)
        return self._seen(key, record) if verdict is None else ended(self._seen(key, record), record, verdict)

    def _living(self, key: Key) -> Monitor | None:
        monitor = self._monitors.get(key)
        if monitor is None:
            monitor = self._monitors.adopt(key, self._places.of(key), self._boot)
            if monitor is not None:
                self._reach(monitor)
        return monitor

    def _reach(self, monitor: Monitor) -> None:
        if monitor.record.agent:
            cid = monitor.record.cid
            self._agents.add(monitor.key, dialled(cid) if cid else chardev(monitor.files.agent))

    def _alive(self, monitor: Monitor) -> ObservedRun:
        seen = self._seen(monitor.key, monitor.record)
        if not monitor.started:
            return seen
        limit = monitor.record.memory_bytes if monitor.oom_kills else 0
        return msgspec.structs.replace(
            seen, status="running", pid=monitor.pid, oom_kills=monitor.oom_kills, memory_limit_bytes=limit
        )

    def _seen(self, key: Key, record: RunRecord) -> ObservedRun:
        return ObservedRun(key.name, key.uid, record.revision, key.run, "created", accelerator=record.accelerator)

    def _group(self, key: Key) -> str:
        return f"{self._cgroup_parent}/{container_id(*key)}"

    # --- starting ------------------------------------------------------------------------------------------------

    async def ensure_running(self, run: RunSpec) -> ObservedRun:
        """See the protocol."""
        key = Key(run.name, run.uid, run.run)
        seen = self._look(key)
        if seen.status != "created":
            return seen
        monitor = self._living(key) or await self._make(run, key)
        return await self._started(monitor)

    async def _make(self, run: RunSpec, key: Key) -> Monitor:
        """A monitor that runs."""
        files = self._places.of(key)
        boot = await self._booting.prepare(run)
        chosen = await self._acceleration.chosen()
        try:
            self._places.prepare()
            files.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with opening() as opened:
                lock = await self._locked(opened, files, key)
                if isinstance(lock, Monitor):
                    return lock
                vsock = opened.vsock(user_of(run.name, run.uid) + run.run) if boot.record.agent else None
                cid = 0 if vsock is None else vsock[0]
                record = msgspec.structs.replace(boot.record, accelerator=chosen.accelerator, cid=cid)
                files.begin(record)
                boot = msgspec.structs.replace(boot, record=record, vsock=vsock)
                return await self._launched(run, key, boot, opened, lock, chosen)
        except OSError as error:
            raise unwritten(f"{error.filename or files.directory}, which a microVM's run needs,", error) from error

    async def _locked(self, opened: Opened, files: RunFiles, key: Key) -> "int | Monitor":
        """The right to start this run; or its monitor, which somebody began who is gone. Who began it may just be
        dying: then it takes moments."""
        deadline = time.monotonic() + LAUNCHER_WAIT_S
        while (lock := opened.lock(files.lock)) is None:
            monitor = self._living(key)
            if monitor is not None:
                return monitor
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{files.lock} is held, and not by a monitor that was written down: see who has it open"
                )
            await asyncio.sleep(LAUNCHER_LOOK_S)
        return lock

    async def _launched(self, run: RunSpec, key: Key, boot: Boot, opened: Opened, lock: int, chosen: Chosen) -> Monitor:
        machine = await self._booting.open(run, boot, opened, chosen.arguments)
        said, log_end = opened.words()
        found: list[int] = []
        try:
            share = share_of(chosen.accelerator, run)
            groups = await asyncio.to_thread(cgroup.make, self._group(key), share)
            order = Order(
                argv=command_line(chosen.program.path, chosen.accelerator, machine),
                user=user_of(run.name, run.uid),
                root=str(self._places.root),
                files=(*chosen.program.files, *boot.files),
                groups=groups,
                limits=LIMITS,
                log=log_end,
                kvm=chosen.accelerator == "kvm",
            )
            files = self._places.of(key)

            def remember(pid: int) -> None:
                found.extend((pid, os.pidfd_open(pid)))
                files.remember(identity_of(pid, self._boot))

            await launch(self.start, order, (lock, log_end, *descriptors(machine)), remember)
        except BaseException:
            os.close(said)
            if found:
                await asyncio.shield(buried(found[1], self._reaped))
            cgroups.remove(self._group(key))
            raise
        pid, process = found
        monitor = self._monitors.take(Monitor(key, files, boot.record, pid, process, said))
        self._reach(monitor)
        return monitor

    async def _started(self, monitor: Monitor) -> ObservedRun:
        """Once the guest says that its payload has begun, or has ended."""
        try:
            async with asyncio.timeout(STARTED_S):
                while not monitor.started and not monitor.over.is_set():
                    monitor.news.clear()
                    await monitor.news.wait()
        except TimeoutError:
            monitor.asked = True
            monitor.kill()
            await monitor.ended(KILL_WAIT_S)
            last = last_line(monitor.files.serial)
            raise StartFailed(
                f"the guest has not begun its program within {STARTED_S:.0f} s"
                + (f"; it last said: {last}" if last else "")
            ) from None
        seen = self._look(monitor.key)
        if seen.status == "created":
            raise never_ran(monitor)
        return seen

    def may_be_left(self, name: str, uid: int, run: int) -> bool:
        """Whether this run's monitor is there, and its guest has not begun its program: whoever waits for that may go,
        and what there is of the run is found again by whoever comes to end it."""
        monitor = self._monitors.get(Key(name, uid, run))
        return monitor is not None and not monitor.started

    # --- stopping and removing -----------------------------------------------------------------------------------

    async def stop(self, name: str, uid: int, run: int, grace_ms: int) -> ObservedRun | None:
        """See the protocol."""
        key = Key(name, uid, run)
        if not self._places.of(key).directory.exists():
            return None
        seen = self._look(key)
        if seen.status == "created":
            await self.remove_run(name, uid, run)
            return None
        if seen.status == "running":
            await self._end(key, grace_ms)
        return self._look(key)

    async def _end(self, key: Key, grace_ms: int) -> None:
        """Ask, wait for the grace and for what the volumes need, kill."""
        monitor = self._living(key)
        if monitor is None:
            return
        monitor.asked = True
        patience_s = await self._ask(monitor, grace_ms)
        if patience_s and await monitor.ended(patience_s):
            return
        monitor.kill()
        if not await monitor.ended(KILL_WAIT_S):
            raise StartFailed("the microVM's monitor does not end although it was killed: it may hang in the kernel")

    async def _ask(self, monitor: Monitor, grace_ms: int) -> float:
        """Ask the guest to end; for how many seconds that may be waited for, 0 where nobody has heard."""
        if not monitor.started or (not grace_ms and not monitor.record.volumes):
            # There is nobody yet who has anything to lose; or nobody wants to wait, and nothing of the guest's outlives
            # it but its layer, which is checked.
            return 0
        grace_s = grace_ms / 1_000
        try:
            # An agent begins behind its payload, and one that is just beginning is worth the grace.
            async with asyncio.timeout(max(ASK_S, grace_s)):
                if monitor.record.agent:
                    await self._ask_agent(monitor, grace_ms)
                    return grace_s + self._unmount_s
                await press(monitor.files.power)
                return grace_s
        except (TimeoutError, OSError, DriverError) as error:
            why = str(error) or "its agent has not answered"
            log.warning("%s run %d cannot be asked to end, and is killed: %s", monitor.key.name, monitor.key.run, why)
            return 0

    async def _ask_agent(self, monitor: Monitor, grace_ms: int) -> None:
        """Until it has heard, or is not there any more."""
        while not monitor.over.is_set():
            with contextlib.suppress(RuntimeUnavailable):
                await self._agents.stop(monitor.key, monitor.record.stop_signal, grace_ms)
                return
            await monitor.ended(AGAIN_S)

    async def remove_run(self, name: str, uid: int, run: int) -> None:
        """See the protocol."""
        key = Key(name, uid, run)
        await self._end(key, 0)
        self._agents.remove(key)
        try:
            self._places.of(key).remove()
        except OSError as error:
            raise unwritten(f"{error.filename}, which a microVM leaves,", error) from error
        cgroups.remove(self._group(key))

    async def remove_workload(self, name: str, uid: int) -> None:
        """See the protocol."""
        for key in tuple(self._places.runs_of(name, uid)):
            await self.remove_run(*key)
        try:
            await asyncio.to_thread(self._places.remove, name, uid)
        except OSError as error:
            raise unwritten(f"{error.filename}, which a microVM leaves,", error) from error

    # --- ends ----------------------------------------------------------------------------------------------------

    async def exits(self) -> AsyncIterator[ObservedRun | Resync]:
        """See the protocol. Nothing is missed as long as this process lives and has observed."""
        queue: asyncio.Queue[ObservedRun | Resync] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            yield Resync()
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    def _suffered(self, monitor: Monitor) -> None:
        """Something in a guest was killed for want of memory; what ends with it is told with its end."""
        if monitor.started:
            self._tell(self._look(monitor.key))

    def _over(self, monitor: Monitor) -> None:
        """A monitor has ended."""
        key, files, record = monitor.key, monitor.files, monitor.record
        self._agents.remove(key)
        there = files.run() is not None
        if there and self._remains.judge(key, files, record, monitor) is not None:
            self._tell(self._look(key))
        elif there:
            monitor.fault = self._remains.fault(monitor)
        else:
            self._tell(Resync())  # another hand removed what there was of it

    def _tell(self, report: ObservedRun | Resync) -> None:
        for listener in self._listeners:
            listener.put_nowait(report)

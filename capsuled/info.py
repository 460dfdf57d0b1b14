"""What `capsule info` tells: the machine under the daemon, the daemon, and what there is.

What hosted mode does not have is left out and named; nothing is made up in its place.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from capsule.v1 import capsule_pb2 as pb
from capsuled.boot.disks import size_bytes
from capsuled.engine import Engine
from capsuled.host import facts
from capsuled.lan import dialled, interfaces
from capsuled.latest import Latest
from capsuled.services.capsule import About
from effects.errors import DriverError
from effects.runs.cgroups import is_unified
from effects.volumes.protocol import VolumeDriver
from journal.events import BootStage
from journal.release import RELEASE
from projections.state import Machine
from projections.status import Phase, status_of
from projections.storage import Fill
from projections.updates import fallback, on_trial

log = logging.getLogger(__name__)

ANSWER_S = 2.0
"""For the storage, and whoever else is looked at. A client that polls gives up after 5 s, and calls the machine lost:
it must hear all the rest although LVM is busy for longer."""


class Info:
    """`readable` says whether there is a state to tell of, `journal_bytes` what its journal takes on the disk."""

    def __init__(
        self,
        about: About,
        engine: Engine,
        volumes: VolumeDriver,
        subnet: str,
        boot_id: str,
        head: Callable[[], tuple[int, str]],
        journal_bytes: Callable[[], int],
        readable: bool,
    ) -> None:
        self._about = about
        self._engine = engine
        self._volumes = volumes
        self._pool = Latest(self._measured)
        self._subnet = subnet
        self._boot_id = boot_id
        self._head = head
        self._journal_bytes = journal_bytes
        self._readable = readable

    async def message(self) -> pb.GetInfoResponse:
        """Now."""
        about, host, machine = self._about, facts(self._about.state), self._engine.machine
        seq, digest = self._head()
        (pool, late_s), warnings = await asyncio.gather(self._pool.ask(ANSWER_S), about.warnings(ANSWER_S))
        if late_s:
            what = "how full it is is not known" if pool is None else "what is told of it was so before that"
            warnings.append(f"the storage has not answered for {late_s:.0f} s: {what}")
        return pb.GetInfoResponse(
            hostname=host.hostname,
            short_id=about.identity.short_id,
            kernel_release=host.kernel_release,
            kernel_version=host.kernel_version,
            architecture=host.architecture,
            uptime_seconds=host.uptime_s,
            capsule_version=RELEASE,
            memory_total_bytes=host.memory_total_bytes,
            memory_available_bytes=host.memory_available_bytes,
            cpu_cores=host.cpu_cores,
            cpu_model=host.cpu_model,
            boot_disk=about.boot_disk or host.boot_disk,
            disk_total_bytes=size_bytes(about.boot_disk) if about.boot_disk else host.disk_total_bytes,
            perm_total_bytes=host.state_total_bytes,
            perm_used_bytes=host.state_used_bytes,
            local_time_unix=int(time.time()),
            capsule_id=about.identity.capsule_id,
            mode=about.mode,
            condition=about.condition.condition.value,
            condition_message=about.condition.message,
            journal_seq=seq,
            journal_head=digest,
            containerd_version=about.containerd_version,
            tls_fingerprint_sha256=about.fingerprint,
            addresses=_dialled(about),
            claimable_seconds=self._engine.claimable_s() if about.condition.acts else 0,
            warnings=warnings,
            metrics=about.metrics,
            objects=counts(machine) if self._readable else None,
            storage_driver="thin" if about.pool else "sparse",
            storage_total_bytes=0 if pool is None else pool.total_bytes,
            storage_used_bytes=0 if pool is None else pool.used_bytes,
            thinpool_total_bytes=pool.total_bytes if about.pool and pool is not None else 0,
            thinpool_used_bytes=pool.used_bytes if about.pool and pool is not None else 0,
            bridge=about.bridge,
            subnet=self._subnet,
            cgroup_version=2 if is_unified() else 1,
            journal_size_bytes=self._journal_bytes(),
            started_at_unix=about.started_at_s,
            boot_id=self._boot_id,
            load_1=host.load_1,
            absent=about.absent,
            active_slot=about.slot,
            **self._trial(machine),
            boot_stages=() if about.stages is None else map(_stage, about.stages.all),
            boot_ready_ms=0 if about.stages is None else about.stages.ready_ms,
            microvm_backend=about.microvms.backend,
            microvm_accelerator=about.microvms.accelerator,
            microvm_lacks=about.microvms.lacks,
        )

    def _trial(self, machine: Machine) -> dict[str, Any]:
        """What clients show of slots: what is to be confirmed until when, by the wall clock, and the system before."""
        trial, before = on_trial(machine), fallback(machine)
        if trial is None:
            return {} if before is None else {"last_version": before.from_version}
        left_ns = 0 if trial.deadline is None else max(0, trial.deadline.mono_ns - self._engine.mono_ns())
        return {
            "pending_slot": trial.slot,
            "pending_deadline_unix": int(time.time()) + left_ns // 1_000_000_000,
            "last_version": trial.from_version,
        }

    async def _measured(self) -> Fill | None:
        try:
            return await self._volumes.pool()
        except (DriverError, OSError) as error:
            log.warning("the storage cannot be measured: %s", error)
            return None


def _dialled(about: About) -> tuple[str, ...]:
    try:
        return dialled(about.addresses, interfaces(), about.bridge)
    except OSError:
        return about.addresses


def _stage(one: BootStage) -> pb.BootStage:
    return pb.BootStage(name=one.name, began_ms=one.began_ms, took_ms=one.took_ms, problem=one.problem)


def counts(machine: Machine) -> pb.ObjectCounts:
    """How many of what there is. Pure."""
    phases = Counter(status_of(one).phase for one in machine.workloads.values())
    return pb.ObjectCounts(
        workloads=len(machine.workloads),
        pending=phases[Phase.PENDING],
        running=phases[Phase.RUNNING],
        failed=phases[Phase.FAILED],
        stopped=phases[Phase.STOPPED],
        volumes=len(machine.volumes),
        images=len(machine.cached),
    )

"""The meter of a real machine: control groups, links, and containerd for the size of a writable layer."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, translated
from effects.containers.spec import Host
from effects.runs.names import container_id, snapshot_key
from effects.stats.counters import NET_DEV, Groups, links
from effects.stats.protocol import Measured, Traffic, Usage

PortOf = Callable[[str, int], str]
"""The name of the machine's end of a workload's link, by its incarnation."""


class MachineMeter:
    """See the protocol."""

    def __init__(
        self, connection: Connection, host: Host, port_of: PortOf, groups: Groups | None = None, dev: Path = NET_DEV
    ) -> None:
        self._connection = connection
        self._host = host
        self._port_of = port_of
        self._groups = groups or Groups()
        self._dev = dev

    async def measure(self, runs: tuple[Measured, ...]) -> tuple[Usage, ...]:
        """See the protocol. Beside the event loop: the kernel sums some of it up only when it is read."""
        return await asyncio.to_thread(self._measure, runs) if runs else ()

    def _measure(self, runs: tuple[Measured, ...]) -> tuple[Usage, ...]:
        traffic = links(self._dev) if any(run.bridged for run in runs) else {}
        return tuple(usage for run in runs if (usage := self._usage(run, traffic)) is not None)

    def _usage(self, run: Measured, traffic: dict[str, Traffic]) -> Usage | None:
        counted = self._groups.count(self._host.cgroup_of(container_id(run.name, run.uid, run.run)))
        if counted is None or (counted.pids is not None and not counted.pids.current):
            return None  # the group outlives its processes until the runtime lets go of it
        return Usage(
            run.name,
            run.uid,
            run.run,
            time.monotonic_ns(),
            counted.cpu,
            counted.memory,
            counted.pids,
            counted.disk,
            traffic.get(self._port_of(run.name, run.uid)) if run.bridged else None,
        )

    async def layer_bytes(self, name: str, uid: int, revision: int) -> int | None:
        """See the protocol."""
        request = snapshots_pb2.UsageRequest(snapshotter=SNAPSHOTTER, key=snapshot_key(name, uid, revision))
        try:
            answer = await self._connection.snapshots.Usage(request, metadata=self._connection.metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise translated(error) from error
        return int(answer.size)

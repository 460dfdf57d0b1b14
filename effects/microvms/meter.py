"""What microVMs use: processor time and traffic as this machine counts them, the rest as the guest does.

This machine sees one process for each, whose memory is all that its guest has ever touched, and whose threads are not
the workload's. What a guest says of itself is shown, and nothing is decided by it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from capsule.guest.v1 import guest_pb2 as pb
from effects.errors import DriverError, NotRunning
from effects.microvms.agent import LOOK_S
from effects.microvms.agents import Agents
from effects.stats.protocol import Disk, Measured, Memory, Meter, Pids, Usage

_MOST = (1 << 62) - 1
_BLOCK_BYTES = 512

LayerOf = Callable[[str, int, int], Path]
"""The file with a revision's writable layer, by name, uid and revision."""


class MicroVMMeter:
    """See the protocol. `machine` counts what this machine does of every run, whatever its kind."""

    def __init__(self, machine: Meter, agents: Agents, layer_of: LayerOf) -> None:
        self._machine = machine
        self._agents = agents
        self._layer_of = layer_of

    async def measure(self, runs: tuple[Measured, ...]) -> tuple[Usage, ...]:
        """See the protocol."""
        return tuple(await asyncio.gather(*(self._within(usage) for usage in await self._machine.measure(runs))))

    async def _within(self, usage: Usage) -> Usage:
        try:
            said = await self._asked(usage.name, usage.uid, usage.run)
        except DriverError as error:
            ended = isinstance(error, NotRunning)
            return msgspec.structs.replace(usage, memory=None, pids=None, disk=None, whole=ended)
        return msgspec.structs.replace(
            usage,
            memory=Memory(
                _bounded(said.memory_working_set_bytes),
                _bounded(said.memory_anonymous_bytes),
                _bounded(said.memory_limit_bytes),
            ),
            pids=Pids(_bounded(said.pids), _bounded(said.pids_limit)),
            disk=Disk(
                _bounded(said.read_bytes), _bounded(said.written_bytes), _bounded(said.reads), _bounded(said.writes)
            ),
        )

    async def _asked(self, name: str, uid: int, run: int) -> pb.StatsResponse:
        answer: pb.StatsResponse = await self._agents.of(name, uid, run).call("Stats", pb.StatsRequest(), LOOK_S)
        return answer

    async def layer_bytes(self, name: str, uid: int, revision: int) -> int | None:
        """See the protocol. Where no guest tells, what its file takes: a guest's file system takes some for itself."""
        agent = self._agents.alive(name, uid)
        if agent is not None:
            with contextlib.suppress(DriverError):
                return _bounded((await self._asked(*agent.key)).layer_bytes)
        try:
            return self._layer_of(name, uid, revision).stat().st_blocks * _BLOCK_BYTES
        except OSError:
            return None


def _bounded(count: int) -> int:
    """A guest's number, as it fits into everything that it is put into."""
    return min(count, _MOST)

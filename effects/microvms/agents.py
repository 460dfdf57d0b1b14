"""The ways to all agents of this machine, by their runs: one for each VM that lives, as long as it lives."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from capsule.guest.v1 import guest_pb2 as pb
from effects.errors import NotRunning
from effects.microvms.agent import ASK_S, Agent
from effects.microvms.places import Key
from effects.microvms.relay import Dial, Relay

log = logging.getLogger(__name__)


class Agents:
    """`directory` is volatile and the daemon's own; nobody else may look into it. `silent` is told of an agent that
    does not answer any more."""

    def __init__(self, directory: Path, silent: Callable[[Key, str], None]) -> None:
        self._directory = directory
        self._silent = silent
        self._made = 0
        self._agents: dict[Key, Agent] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}

    def add(self, key: Key, dial: Dial) -> None:
        """There is a VM, and the stream to its agent is dialled so: keep a way to it, until `remove`."""
        if key in self._agents:
            return
        if not self._made:
            shutil.rmtree(self._directory, ignore_errors=True)  # a dead daemon's; each relay makes it where it lacks
        self._made += 1
        path = self._directory / str(self._made)
        agent = self._agents[key] = Agent(key, Relay(key[0], dial, path), path, self._silent)
        running = self._running[key] = asyncio.ensure_future(agent.run())
        running.add_done_callback(_told)

    def remove(self, key: Key) -> None:
        """There is none any more."""
        self._agents.pop(key, None)
        running = self._running.pop(key, None)
        if running is not None:
            running.cancel()

    async def close(self) -> None:
        """There are none any more, for the daemon's end: their VMs live on."""
        running = tuple(self._running.values())
        for key in tuple(self._agents):
            self.remove(key)
        await asyncio.gather(*running, return_exceptions=True)

    def of(self, name: str, uid: int, run: int) -> Agent:
        """The agent of a run that lives. Raises NotRunning."""
        agent = self._agents.get(Key(name, uid, run))
        if agent is None:
            raise NotRunning(f"{name} is not running")
        return agent

    def alive(self, name: str, uid: int) -> Agent | None:
        """The agent of a workload's run, whichever it is."""
        return next((agent for key, agent in self._agents.items() if key[:2] == (name, uid)), None)

    async def stop(self, key: Key, signal: int, grace_ms: int) -> None:
        """Ask it to end its payload; returns once it has heard. Raises DriverError where it cannot be asked."""
        request = pb.StopRequest(signal=signal, grace_ms=grace_ms)
        await self.of(*key).call("Stop", request, ASK_S, anyway=True)


def _told(running: "asyncio.Task[None]") -> None:
    """A way ends when it is told to. One that fails has met what nobody foresaw, and its VM lives on without."""
    if not running.cancelled() and running.exception() is not None:
        log.error("the way to an agent failed", exc_info=running.exception())

"""The simulated twin of the guests of microVMs: the same contract on a world in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from effects.errors import NotRunning
from effects.runs.twin import Step, TwinContainer, World
from effects.secrets.protocol import SecretDirectory
from projections.storage import Fill


class TwinGuests:
    """Those of a world. See the protocol."""

    def __init__(self, world: World, step: Step) -> None:
        self._world = world
        self._step = step

    async def renew_secrets(self, name: str, uid: int, run: int, secrets: tuple[SecretDirectory, ...]) -> None:
        """See the protocol."""
        await self._step("renew secrets")
        self._running(name, uid, run).secrets = {one.source: self._world.secrets(one.source) for one in secrets}
        await self._step("secrets renewed")

    @asynccontextmanager
    async def frozen(self, name: str, uid: int, run: int, target: str) -> AsyncIterator[None]:
        """See the protocol."""
        await self._step("freeze")
        self._running(name, uid, run)
        yield

    async def usage(self, name: str, uid: int, run: int, target: str) -> Fill | None:
        """See the protocol."""
        self._running(name, uid, run)
        return Fill(1 << 20, 0)

    def _running(self, name: str, uid: int, run: int) -> TwinContainer:
        container = self._world.containers.get((name, uid, run))
        if container is None or container.status != "running" or container.run.kind != "microvm":
            raise NotRunning(f"{name} is not running")
        return container

"""What only a guest can do for the machine around it: take new secrets, hold a volume still while it is copied, and say
how full it is."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from capsule.guest.v1 import guest_pb2 as pb
from effects.errors import DriverError, GuestFailed, NotRunning
from effects.microvms.agent import LOOK_S
from effects.microvms.agents import Agents
from effects.secrets.protocol import SecretContent, SecretDirectory
from effects.secrets.reading import contents
from projections.storage import Fill

FREEZE_S = 60.0
"""A guest lets go by itself after so long: the daemon may have died meanwhile."""
WRITE_OUT_S = 30.0
"""For it to write down what it still has in memory, before it holds still."""


class MicroVMGuests:
    """The guests of runs that live."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def renew_secrets(self, name: str, uid: int, run: int, secrets: tuple[SecretDirectory, ...]) -> None:
        """The run has at the places of its secrets what these directories hold now; a reader sees each file whole, as
        it was or as it is. Raises NotRunning, RuntimeUnavailable, GuestFailed."""
        request = pb.PlaceSecretsRequest(files=map(_file, contents(secrets)))
        await self._agents.of(name, uid, run).call("PlaceSecrets", request)

    @asynccontextmanager
    async def frozen(self, name: str, uid: int, run: int, target: str) -> AsyncIterator[None]:
        """Inside, what the run wrote to its volume at `target` is on the volume, whole, and nothing is written to it.
        It goes on afterwards, also after a crash in between. Raises NotRunning, RuntimeUnavailable, GuestFailed: at the
        end, too, where the guest has let go before, since its time was up or since it ends."""
        agent = self._agents.of(name, uid, run)
        freeze = pb.FreezeRequest(path=target, timeout_ms=int(FREEZE_S * 1_000))
        thaw = pb.ThawRequest(path=target)
        begun = time.monotonic()
        try:
            await agent.call("Freeze", freeze, WRITE_OUT_S)
            yield
        except BaseException:
            with suppress(DriverError):
                await agent.call("Thaw", thaw)
            raise
        if not (await agent.call("Thaw", thaw)).late:
            return
        if time.monotonic() - begun < FREEZE_S:
            raise NotRunning(f"{name} was ended while {target} was copied")
        raise GuestFailed(
            f"the guest of {name} held {target} still for {FREEZE_S:g} s and not longer, so what was copied of it may "
            "not be whole: stop the workload, and try again"
        )

    async def usage(self, name: str, uid: int, run: int, target: str) -> Fill | None:
        """How full the file system of the run's volume at `target` is; None when the guest does not say. Raises
        NotRunning, RuntimeUnavailable, GuestFailed."""
        answer = await self._agents.of(name, uid, run).call("Stats", pb.StatsRequest(), LOOK_S)
        found = (Fill(one.total_bytes, one.used_bytes) for one in answer.volumes if one.path == target)
        return next(found, None)


def _file(one: SecretContent) -> pb.SecretFile:
    return pb.SecretFile(path=one.path, mode=one.mode, uid=one.uid, gid=one.gid, content=one.content)

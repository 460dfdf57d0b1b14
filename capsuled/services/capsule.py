"""CapsuleService: the machine itself. Reboots belong to the OS; hosted, they are refused by name."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from capsule.v1 import capsule_pb2 as pb
from capsule.v1.capsule_pb2_grpc import CapsuleServiceServicer
from capsuled.boot.stages import Stages
from capsuled.condition import State
from capsuled.identity import Identity
from capsuled.logs.own import OwnLog
from capsuled.microvms import NONE
from capsuled.power import Power
from capsuled.rpc import caller_of, refuse

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[Iterable[str]]]
"""What is to be warned of now; nothing when all is well."""


HOSTED_ABSENT = ("slots, OS updates and reboots", "a thin pool: volumes are sparse files")
"""What hosted mode does not have, in words."""


class About:
    """What the daemon knows of itself; the wiring fills it in as it learns."""

    def __init__(self, identity: Identity, state: Path, condition: State) -> None:
        self.identity = identity
        self.state = state
        self.condition = condition
        self.containerd_version = ""
        self.head_hash = ""
        self.fingerprint = ""
        self.addresses: tuple[str, ...] = ()
        self.metrics = ""
        self.bridge = ""
        self.pool = ""
        self.mode = "hosted"
        self.boot_disk = ""
        self.slot = ""
        self.absent: tuple[str, ...] = HOSTED_ABSENT
        self.stages: Stages | None = None
        self.microvms = NONE
        self.started_at_s = int(time.time())
        self._warnings: list[str] = []
        self._checks: list[Check] = []

    def warn(self, text: str) -> None:
        """Something this machine lacks, which an operator should know of whenever he looks at it."""
        log.warning("%s", text)
        self._warnings.append(text)

    def ask(self, check: Check) -> None:
        """Whoever looks at the machine is told what `check` says then."""
        self._checks.append(check)

    async def warnings(self) -> list[str]:
        """All that an operator should know of now."""
        found = list(self._warnings)
        for check in self._checks:
            found.extend(await check())
        return found


class CapsuleService(CapsuleServiceServicer):
    """See proto/capsule/v1/capsule.proto."""

    def __init__(
        self, info: Callable[[], Awaitable[pb.GetInfoResponse]], daemon_log: OwnLog, power: Power | None = None
    ) -> None:
        self._info = info
        self._log = daemon_log
        self._power = power

    async def GetInfo(self, request: pb.GetInfoRequest, context: Any) -> pb.GetInfoResponse:
        """Facts, numbers, and the daemon's condition."""
        return await self._info()

    async def StreamLogs(self, request: pb.CapsuleLogsRequest, context: Any) -> AsyncIterator[pb.CapsuleLogChunk]:
        """The daemon's own log."""
        async with aclosing(self._log.stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def UpdateOS(self, requests: AsyncIterator[pb.UpdateOSRequest], context: Any) -> pb.UpdateOSResponse:
        """Not yet: the image has the slots, the way between them is still to come."""
        if self._power is not None:
            refuse("UNIMPLEMENTED", "NO_UPDATES", "this release cannot update itself yet: write a new image")
        refuse("UNIMPLEMENTED", "HOSTED", "this capsuled runs hosted, without slots: update it with its package")

    async def UpdateConfirm(self, request: pb.UpdateConfirmRequest, context: Any) -> pb.UpdateConfirmResponse:
        """See UpdateOS."""
        if self._power is not None:
            refuse("UNIMPLEMENTED", "NO_UPDATES", "this release cannot update itself yet: there is nothing to confirm")
        refuse("UNIMPLEMENTED", "HOSTED", "this capsuled runs hosted, without slots: there is nothing to confirm")

    async def RebootNode(self, request: pb.RebootNodeRequest, context: Any) -> pb.RebootNodeResponse:
        """Answers, and then it happens. Hosted, the machine belongs to somebody else."""
        if self._power is None:
            refuse("UNIMPLEMENTED", "HOSTED", "this capsuled runs hosted: reboot the host with its own means")
        caller = caller_of(context, "CapsuleService.RebootNode", request)
        return pb.RebootNodeResponse(message=await self._power.end("reboot", caller))

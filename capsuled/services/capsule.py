"""CapsuleService: the machine itself. Reboots belong to the OS; hosted, they are refused by name."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from capsule.v1 import capsule_pb2 as pb
from capsule.v1.capsule_pb2_grpc import CapsuleServiceServicer
from capsuled.boot.stages import Stages
from capsuled.condition import State
from capsuled.engine import Engine
from capsuled.identity import Identity
from capsuled.latest import Latest
from capsuled.logs.own import OwnLog
from capsuled.microvms import NONE
from capsuled.power import Power
from capsuled.rpc import caller_of, refuse
from capsuled.services.updates import NO_SLOTS, chunks_of, options_of
from capsuled.streams import opened
from capsuled.updates.updates import Updates
from effects.slots.bundle import BundleStream

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[Sequence[str]]]
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
        self.journal_room: Callable[[], str] = lambda: ""
        self.started_at_s = int(time.time())
        self._warnings: list[str] = []
        self._checks: list[Latest[Sequence[str]]] = []

    def warn(self, text: str) -> None:
        """Something this machine lacks, which an operator should know of whenever he looks at it."""
        log.warning("%s", text)
        self._warnings.append(text)

    def ask(self, check: Check) -> None:
        """Whoever looks at the machine is told what `check` says then."""
        self._checks.append(Latest(check))

    async def warnings(self, limit_s: float) -> list[str]:
        """All that an operator should know of now, as far as it is found out in that time."""
        asked = await asyncio.gather(*(check.ask(limit_s) for check in self._checks), return_exceptions=True)
        answers = [one for one in asked if not isinstance(one, BaseException)]
        found = [*self._warnings, *(warning for said, _ in answers for warning in said or ())]
        for failure in (one for one in asked if isinstance(one, BaseException)):
            log.error("a look at the machine failed", exc_info=failure)
            found.append(f"warnings may be missing here: a look at this machine failed ({failure})")
        late_s = max((late_s for _, late_s in answers), default=0.0)
        if late_s:
            found.append(f"warnings may be missing here, or be over: one look has been going on for {late_s:.0f} s")
        return found


class CapsuleService(CapsuleServiceServicer):
    """See proto/capsule/v1/capsule.proto."""

    def __init__(
        self,
        engine: Engine,
        info: Callable[[], Awaitable[pb.GetInfoResponse]],
        daemon_log: OwnLog,
        power: Power | None = None,
        updates: Updates | None = None,
    ) -> None:
        """`power` and `updates` are the operating system's own."""
        self._engine = engine
        self._info = info
        self._log = daemon_log
        self._power = power
        self._updates = updates

    async def GetInfo(self, request: pb.GetInfoRequest, context: Any) -> pb.GetInfoResponse:
        """Facts, numbers, and the daemon's condition."""
        return await self._info()

    async def StreamLogs(self, request: pb.CapsuleLogsRequest, context: Any) -> AsyncIterator[pb.CapsuleLogChunk]:
        """The daemon's own log."""
        async with aclosing(self._log.stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def UpdateOS(self, requests: AsyncIterator[pb.UpdateOSRequest], context: Any) -> pb.UpdateOSResponse:
        """Answers once the boot loader is told; the machine starts anew right after that."""
        if self._updates is None:
            refuse("UNIMPLEMENTED", "HOSTED", NO_SLOTS)
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("msg") != "metadata":
            refuse("INVALID_ARGUMENT", "NO_METADATA", "the first message of an update must be its metadata", "metadata")
        said = first.metadata
        caller = caller_of(context, "CapsuleService.UpdateOS", said)
        async with opened(self._updates.engine, caller, "") as stream:
            bundle = BundleStream(chunks_of(requests, stream), said.total_bytes, said.sha256_hex)
            update = await self._updates.receive(bundle, options_of(said), caller, said.stay)
        return pb.UpdateOSResponse(
            next_slot=update.slot,
            next_version=update.version,
            next_commit=update.commit,
            reboot_scheduled=not said.stay,
            uid=update.uid,
            note=self._updates.noted,
        )

    async def UpdateConfirm(self, request: pb.UpdateConfirmRequest, context: Any) -> pb.UpdateConfirmResponse:
        """Answers once the boot loader boots it from now on."""
        if self._updates is None:
            refuse("UNIMPLEMENTED", "HOSTED", "this capsuled runs hosted, without slots: there is nothing to confirm")
        update = await self._updates.confirm(caller_of(context, "CapsuleService.UpdateConfirm", request))
        return pb.UpdateConfirmResponse(
            committed_slot=update.slot,
            committed_version=update.version,
            uid=update.uid,
            note=self._updates.noted,
        )

    async def RebootNode(self, request: pb.RebootNodeRequest, context: Any) -> pb.RebootNodeResponse:
        """Answers, and then it happens. Hosted, the machine belongs to somebody else."""
        if self._power is None:
            refuse("UNIMPLEMENTED", "HOSTED", "this capsuled runs hosted: reboot the host with its own means")
        caller = caller_of(context, "CapsuleService.RebootNode", request)
        return pb.RebootNodeResponse(message=await self._power.end("reboot", caller))

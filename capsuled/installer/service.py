"""InstallService: onto which disk, and there. Nobody proves anything: whoever stands before the machine compares the
fingerprint, and whoever has the machine has its disks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import msgspec

from capsule.v1 import install_pb2 as pb
from capsule.v1.install_pb2_grpc import InstallServiceServicer
from capsuled.identity import Identity
from capsuled.installed import Installed
from capsuled.installer.installation import InstallFailed, Step
from capsuled.installer.targets import Target, chosen, viable
from capsuled.rpc import Refused, abort, refuse
from capsuled.tls import Certificate
from capsuled.tokens import kid_of
from effects.unbroken import to_its_end
from journal.release import RELEASE
from projections.enrolment import check_key
from projections.intents import Adopt
from projections.refusals import Refusal

log = logging.getLogger(__name__)

KEY_BYTES = 32


class Progress(msgspec.Struct):
    """What the installer is at, for the console: `disk` is being installed on, or was; `failed` says why it was not."""

    disk: str = ""
    step: Step | None = None
    done: bool = False
    failed: str = ""


class Machine(Protocol):
    """Its disks, of which `booted` is the one that the installer runs from."""

    booted: str
    least_bytes: int

    async def targets(self) -> tuple[Target, ...]:
        """Every other one, now."""
        ...

    async def install(self, disk: str, installed: Installed, tell: Callable[[Step], None]) -> None:
        """It boots when this returns. Raises InstallFailed."""
        ...


class InstallService(InstallServiceServicer):
    """See proto/capsule/v1/install.proto. `changed` is told whenever `progress` is another, `ended` when the machine is
    to start anew."""

    def __init__(
        self,
        machine: Machine,
        identity: Identity,
        certificate: Certificate,
        changed: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._identity = identity
        self._certificate = certificate
        self._changed = changed
        self._ended = ended
        self._one_at_a_time = asyncio.Lock()
        self.progress = Progress()

    async def Status(self, request: pb.InstallStatusRequest, context: Any) -> pb.InstallStatusResponse:
        """Who this is, and what it could be installed on."""
        there = await self._machine.targets()
        offered = viable(there)
        return pb.InstallStatusResponse(
            short_id=self._identity.short_id,
            capsule_id=self._identity.capsule_id,
            target_disk=offered[0].device if offered else "",
            target_size_bytes=offered[0].size_bytes if offered else 0,
            targets=[disk.device for disk in offered],
            version=RELEASE,
            disks=map(_disk, there),
            least_bytes=self._machine.least_bytes,
            boot_disk=self._machine.booted,
            tls_fingerprint_sha256=self._certificate.fingerprint,
        )

    async def Install(self, request: pb.InstallRequest, context: Any) -> AsyncIterator[pb.InstallProgress]:
        """Onto one disk; the last message has the result. A client that goes ends it, and the disk does not boot."""
        try:
            if self._one_at_a_time.locked():
                refuse("FAILED_PRECONDITION", "INSTALLING", "somebody is just installing here: wait for that")
            async with self._one_at_a_time:
                kid = await self._admitted(request)
                async for step in self._installed(request, kid, context):
                    yield pb.InstallProgress(phase=step.phase, percent=step.percent, message=step.message)
        except (Refused, InstallFailed) as error:
            log.warning("not installed: %s", error)
            await abort(context, error if isinstance(error, Refused) else _failed(str(error)))
        result = pb.InstallResult(
            capsule_id=self._identity.capsule_id,
            tls_fingerprint_sha256=self._certificate.fingerprint,
            kid=kid,
            short_id=self._identity.short_id,
        )
        yield pb.InstallProgress(phase="done", percent=100, message=f"{self.progress.disk} boots", result=result)
        if not request.stay:
            self._ended()

    async def _admitted(self, request: pb.InstallRequest) -> str:
        """The key's id; empty without one. Raises Refused."""
        if self.progress.done:
            message = (
                f"this installer made {self.progress.disk} a capsule with the id and the certificate that it shows: "
                "start the machine anew from it to install another"
            )
            refuse("FAILED_PRECONDITION", "INSTALLED", message)
        key = request.operator_pubkey
        if request.seal or key:
            refusal = check_key(Adopt(kid_of(key), key.hex(), request.operator_name, "", 0))
            if refusal is not None:
                raise Refused(refusal)
        found = chosen(request.target_disk, await self._machine.targets(), self._machine.booted, request.reinstall)
        if isinstance(found, Refusal):
            raise Refused(found)
        self.progress = Progress(found.disk.device, Step("partitions", 0, "it begins"))
        return kid_of(key) if key else ""

    async def _installed(self, request: pb.InstallRequest, kid: str, context: Any) -> AsyncIterator[Step]:
        progress, news = self.progress, asyncio.Event()

        def tell(step: Step) -> None:
            progress.step = step
            news.set()
            self._changed()

        seal = (kid, request.operator_pubkey.hex(), request.operator_name) if request.seal else ()
        installed = Installed(RELEASE, progress.disk, *seal)

        async def install() -> None:
            await self._machine.install(progress.disk, installed, tell)
            progress.done = True

        def stop() -> None:
            """Once: what is tidied up then is not to be stopped."""
            if not work.cancelling():
                work.cancel()

        work = asyncio.create_task(install(), name="installation")
        work.add_done_callback(lambda _: news.set())
        context.add_done_callback(lambda _: stop())
        shown: Step | None = None
        try:
            ended = False
            while not ended:
                await news.wait()
                news.clear()
                ended = work.done()
                if progress.step is not None and progress.step != shown:
                    shown = progress.step
                    yield shown
            await work
        except InstallFailed as error:
            progress.failed = str(error)
            raise
        finally:
            stop()
            await to_its_end(asyncio.wait((work,)))
            if not progress.done:
                progress.failed = progress.failed or "whoever asked for it has gone"
            progress.step = None
            self._changed()


def _failed(why: str) -> Refused:
    message = f"{why}. The disk does not boot; install again, or on another"
    return Refused(Refusal("ABORTED", "NOT_INSTALLED", message, ()))


def _disk(one: Target) -> pb.InstallDisk:
    return pb.InstallDisk(
        name=one.disk.device,
        size_bytes=one.disk.size_bytes,
        model=one.disk.model,
        holds=one.holds,
        is_capsule=one.is_capsule,
        problem=one.problem,
    )

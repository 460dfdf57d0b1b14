"""Debugging the machine itself: a container that is root on it, for as long as somebody looks.

What runs in it is the machine's own, unless the caller names another image: what a name means in the cache is for
every operator to say, and none of them is root here.

The session is the call: whatever ends it (the caller's word, a lost connection, a removed key, this daemon) asks for
the container's removal, and what a killed daemon left is removed by the next (see `left_over`).
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import msgspec

from capsule.v1 import debug_pb2 as pb
from capsule.v1 import workload_pb2
from capsuled.caller import Caller
from capsuled.debug_image import BINDS, SHELL, BuiltImage, debug_image
from capsuled.declare import Declarations
from capsuled.engine import Engine
from capsuled.image_cache import ImageCache
from capsuled.rpc import refuse
from capsuled.streams import OpenStream, opened
from effects.images.protocol import ImageStore
from journal.errors import JournalError
from journal.events import WorkloadDeleteRequested
from projections.state import Machine, Workload

log = logging.getLogger(__name__)

NAME = "capsule-debug"
METHOD = "DebugService.Open"
GONE_S = 25.0
CHUNK_BYTES = 1 << 20

Answers = AsyncGenerator[pb.DebugOpened, None]
Requests = AsyncIterator[pb.DebugRequest]


class Choice(msgspec.Struct, frozen=True):
    """The image to use; `built` is set where it was built here."""

    name: str
    built: BuiltImage | None = None


class DebugSessions:
    """One at a time: two would be in each other's way by the container's name."""

    def __init__(
        self,
        engine: Engine,
        declarations: Declarations,
        images: ImageStore,
        cache: ImageCache,
        exists: Callable[[str], bool] = os.path.exists,
        root: Path = Path("/"),
    ) -> None:
        """`root` is where the machine's own programs are looked for."""
        self._engine = engine
        self._declarations = declarations
        self._images = images
        self._cache = cache
        self._exists = exists
        self._root = root
        self._open = False

    async def run(self, requests: Requests, caller: Caller) -> Answers:
        """One session: declares, tells what it declared, and removes it in the end."""
        first = await anext(aiter(requests), None)
        if first is None:
            refuse("INVALID_ARGUMENT", "NO_REQUEST", "the first message of a debug session must say what is wanted")
        self._check_free()
        self._open = True
        try:
            async with opened(self._engine, caller, NAME) as stream:
                choice = await self._chosen(first.image, stream, caller)
                uid = await self._declared(choice, stream, caller, first.keep)
                try:
                    yield _answer(choice, uid)
                    if first.keep:
                        return
                    await self._until_over(requests, uid)
                except BaseException:
                    if not first.keep:
                        self._removed_if_it_can_be(stream, uid, caller)
                    raise
                self._remove(stream, uid, caller)
                await self._gone(uid)
        finally:
            self._open = False

    def _check_free(self) -> None:
        workload = self._engine.workload(NAME)
        if workload is not None and workload.desired == "deleting":
            message = f"the {NAME} before is just being removed: try again in a moment"
            refuse("FAILED_PRECONDITION", "STILL_DELETING", message)
        if self._open or workload is not None:
            refuse(
                "ALREADY_EXISTS",
                "DEBUG_TAKEN",
                f"{NAME} is there already: somebody debugs this machine just now, or left it there with --keep "
                f"(`capsulectl history {NAME}` tells who). `capsulectl exec -it {NAME} sh` goes into it, "
                f"`capsulectl delete {NAME}` removes it",
            )

    # --- its beginning -------------------------------------------------------------------------------------------

    async def _chosen(self, asked: str, stream: OpenStream, caller: Caller) -> Choice:
        """What was asked for; else one that is built here, by its digest: its name may be another image's by now."""
        if asked:
            return Choice(asked)
        built = await debug_image(self._root)
        made = await asyncio.to_thread(built.made)
        pinned = f"{built.name}@{made.digest}"
        if await self._images.resolve(pinned) is None:
            # Vital: whoever comes to a disk that is full comes to make room on it.
            await self._cache.push(_chunks(made.archive), "", (), stream, caller, vital=True)
        return Choice(pinned, built)

    async def _declared(self, choice: Choice, stream: OpenStream, caller: Caller, keep: bool) -> int:
        """The container's uid. Once begun it is seen through: what was declared must be known, to be removed."""
        once = msgspec.structs.replace(caller, call_id="")
        messages = [declaration(choice, self._exists)]
        applying = asyncio.ensure_future(
            self._declarations.apply(messages, once, expect_seq=0, pull=False, dry_run=False)
        )
        try:
            result = await asyncio.shield(applying)
        except asyncio.CancelledError:
            await asyncio.wait((applying,))
            if not keep and not applying.exception():
                self._removed_if_it_can_be(stream, applying.result().machine.workloads[NAME].uid, caller)
            raise
        return result.machine.workloads[NAME].uid

    # --- its end -------------------------------------------------------------------------------------------------

    async def _until_over(self, requests: Requests, uid: int) -> None:
        """Until the caller has nothing more to say, or somebody else removed the container."""

        async def said_all() -> None:
            async for _ in requests:
                pass

        ends = {asyncio.ensure_future(one) for one in (said_all(), self._engine.gone(NAME, uid))}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ends:
                one.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    def _remove(self, stream: OpenStream, uid: int, caller: Caller) -> None:
        """Ask for it, as what came of the session. Raises JournalError."""
        workload = self._engine.workload(NAME)
        if workload is not None and _is_sessions(workload, uid):
            event = WorkloadDeleteRequested(NAME, uid)
            self._engine.record((event,), cause=stream.seq, vital=True, actor=caller.actor)

    def _removed_if_it_can_be(self, stream: OpenStream, uid: int, caller: Caller) -> None:
        """For a caller who hears nothing any more. Where the journal cannot write, the next start removes it."""
        try:
            self._remove(stream, uid, caller)
        except JournalError as error:
            log.warning("%s is left over, and removed by the next start: %s", NAME, error)

    async def _gone(self, uid: int) -> None:
        """Wait for it, unless somebody else has declared it anew and it stays."""
        workload = self._engine.workload(NAME)
        if workload is None or workload.desired != "deleting":
            return
        try:
            async with asyncio.timeout(GONE_S):
                await self._engine.gone(NAME, uid)
        except TimeoutError:
            message = f"{NAME} is not gone yet; it will be, as soon as the runtime lets go"
            refuse("DEADLINE_EXCEEDED", "STILL_DELETING", message)


def _is_sessions(workload: Workload, uid: int) -> bool:
    """Whether it is what the session declared, and nobody has declared it anew since: then it is theirs."""
    return workload.uid == uid and workload.revision == uid and workload.desired != "deleting"


def left_over(machine: Machine) -> tuple[tuple[int, WorkloadDeleteRequested], ...]:
    """What sessions that were open when the daemon died have left, each with the entry that opened it. Pure."""
    workload = machine.workloads.get(NAME)
    if workload is None:
        return ()
    return tuple(
        (seq, WorkloadDeleteRequested(NAME, workload.uid))
        for seq, stream in machine.streams.items()
        if stream.method == METHOD and workload.uid > seq and _is_sessions(workload, workload.uid)
    )


def declaration(choice: Choice, exists: Callable[[str], bool]) -> workload_pb2.Workload:
    """The container: the machine's namespaces, devices and files. It sleeps; shells are run in it by exec."""
    programs = choice.built.binds if choice.built is not None else ()
    spec = workload_pb2.ContainerSpec(
        image=choice.name,
        command=[SHELL, "-c", "exec sleep infinity"],
        network_mode=workload_pb2.NETWORK_MODE_HOST,
        privileged=True,
        host_pid=True,
        host_ipc=True,
        host_mount=True,
        host_bind_paths=[path for path in BINDS if exists(path)],
        host_binds=[workload_pb2.HostBind(source=path, read_only=True) for path in programs],
        user="0:0",
        restart=workload_pb2.RESTART_MODE_NEVER,
        stop_grace_seconds=1,
    )
    return workload_pb2.Workload(name=NAME, container=spec)


def _answer(choice: Choice, uid: int) -> pb.DebugOpened:
    return pb.DebugOpened(
        name=NAME,
        uid=uid,
        image=choice.name,
        built_from="" if choice.built is None else choice.built.built_from,
    )


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), CHUNK_BYTES):
        yield content[at : at + CHUNK_BYTES]

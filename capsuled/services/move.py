"""MoveService: a machine's house leaves with its secrets, and a blank machine takes one over."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from capsule.v1 import move_pb2 as pb
from capsule.v1.move_pb2_grpc import MoveServiceServicer
from capsuled.aside import Aside
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.examine import replay_apart
from capsuled.identity import Identity
from capsuled.layout import Layout
from capsuled.processes import CommandFailed
from capsuled.restoring import Restored, clear, lacks_place, lacks_room, laid_down, lay_down, make_room
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.sealing import SealBroken, Vault
from capsuled.seals import named
from capsuled.streams import OpenStream, opened
from journal.archive import Title, import_archive
from journal.durable import write_durably
from journal.errors import JournalError, JournalFull
from projections.blank import holds
from projections.desired import desired_hash
from projections.operators import kept_admin
from projections.refusals import refused
from projections.state import Operator

NAMING_KEY_BYTES = 32
VALUES_BYTES = 1 << 20
"""About so much goes into a message."""
CANCELLED_S = 0.1
SOON_S = 0.3
"""After the answer, so that it is heard."""
ENDS = "this machine takes over an archive and begins anew with it: nothing was changed. Ask again in a moment"


class MoveService(MoveServiceServicer):
    """See proto/capsule/v1/move.proto. `begin_anew` ends this life of the daemon and begins another."""

    def __init__(
        self, engine: Engine, vault: Vault, layout: Layout, identity: Identity, begin_anew: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._vault = vault
        self._layout = layout
        self._identity = identity
        self._begin_anew = begin_anew
        self._aside = Aside()
        self._restoring = False

    async def Secrets(self, request: pb.MoveSecretsRequest, context: Any) -> AsyncIterator[pb.SealedValues]:
        """That they left is a fact, before the first of them does."""
        caller = caller_of(context, "MoveService.Secrets", request)
        names = sorted(name for name in named(self._engine.machine) if name)
        async with opened(self._engine, caller, "") as stream, self._vault.kept((), frozenset(names)):
            message = pb.SealedValues(naming_key=self._vault.naming_key)
            size = 0
            for name in names:
                value = await self._opened(name)
                if value is None:
                    message.broken += 1
                    continue
                message.values.append(value)
                size += len(value)
                if size >= VALUES_BYTES:
                    stream.bytes_out += size
                    yield message
                    message, size = pb.SealedValues(), 0
            stream.bytes_out += size
            yield message

    async def _opened(self, name: str) -> str | None:
        try:
            return await self._aside.run(lambda: self._vault.open(name))
        except SealBroken:
            return None

    async def Restore(self, requests: AsyncIterator[pb.RestoreRequest], context: Any) -> pb.RestoreResponse:
        """Answers when all of it is on the disk and proven; then this life ends, also if its caller has gone."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("msg") != "metadata":
            refuse("INVALID_ARGUMENT", "NO_METADATA", "the first message of a restore must be its metadata", "metadata")
        caller = caller_of(context, "MoveService.Restore")
        self._engine.check_writable()
        self._refuse_unless_blank()
        self._restoring = True
        try:
            async with opened(self._engine, caller, "") as stream:
                with _full_is_told(self._layout):
                    answer = await self._restored(requests, first.metadata.total_bytes, stream, caller)
        finally:
            await self._over()
        return answer

    async def _over(self) -> None:
        """What was laid down counts, whoever heard of it: this life ends. Of anything less nothing stays."""
        if laid_down(self._layout) is not None:
            asyncio.get_running_loop().call_later(SOON_S, self._begin_anew)
            return
        self._engine.closed = None
        try:
            with contextlib.suppress(OSError):  # the next start clears it
                await self._aside.to_its_end(lambda: clear(self._layout))
        finally:
            self._restoring = False

    def _refuse_unless_blank(self) -> None:
        if self._restoring:
            refuse("ABORTED", "RESTORING", "this machine is just taking over an archive: wait for it")
        if held := holds(self._engine.machine):
            refuse(
                "FAILED_PRECONDITION",
                "NOT_BLANK",
                f"this machine has {held}: an archive is taken over by one that has nothing yet. Start capsuled with a "
                "state directory of its own, and restore there",
            )

    async def _restored(
        self, requests: AsyncIterator[pb.RestoreRequest], total_bytes: int, stream: OpenStream, caller: Caller
    ) -> pb.RestoreResponse:
        place = await self._aside.to_its_end(lambda: make_room(self._layout))
        if lacking := lacks_place(self._layout, total_bytes):
            _refuse_room(f"{self._layout.state} has {_mib(lacking)} MiB too little for this archive")
        values = await self._received(requests, total_bytes, stream, place)
        title = await self._imported(place)
        try:
            replayed, machine = await replay_apart(place / "journal")
        except CommandFailed as failure:
            _refuse_archive(str(failure))
        if replayed.problem:
            _refuse_archive(replayed.problem)
        self._refuse_others()
        if (lost := caller.lost()) is not None:  # an upload takes a while
            raise Refused(lost)
        # What is done here from now on is not in the archive, and would be lost with this life.
        self._engine.closed = refused("UNAVAILABLE", "RESTORING", ENDS)
        if lacking := lacks_room(self._layout):
            _refuse_room(f"the journal's file system has {_mib(lacking)} MiB too little for this archive")
        own = self._own(caller)
        restored = Restored(title.last_seq, title.head_hash, title.release, values, caller.actor, caller.login, own)
        if own is not None:
            machine.operators[own.kid] = kept_admin(machine, own)
        await self._aside.to_its_end(lambda: lay_down(self._layout, restored))
        return pb.RestoreResponse(
            journal_id=title.journal_id,
            head_seq=title.last_seq,
            head_hash=title.head_hash,
            desired_hash=desired_hash(machine),
            values=values,
        )

    def _own(self, caller: Caller) -> Operator | None:
        """The caller, by the key that it has here; None of one on the machine itself, who needs none."""
        return self._engine.machine.operators.get(caller.actor.id) if caller.actor.kind == "operator" else None

    def _refuse_others(self) -> None:
        """Somebody may have declared something while the archive came."""
        if held := holds(self._engine.machine):
            refuse("ABORTED", "NOT_BLANK", f"this machine has {held} by now: nothing was restored")

    async def _received(
        self, requests: AsyncIterator[pb.RestoreRequest], total_bytes: int, stream: OpenStream, place: Path
    ) -> int:
        """Write down what comes; how many values there were."""
        vault, count = Vault(place / "sealed", self._identity.machine_key), 0
        with (place / "archive").open("wb") as archive:
            async for request in requests:
                if request.WhichOneof("msg") == "sealed":
                    if request.sealed.naming_key:
                        vault = await self._named_by(request.sealed.naming_key, place)
                    values = list(request.sealed.values)
                    await self._aside.to_its_end(lambda values=values, vault=vault: vault.seal(values))  # type: ignore[misc]
                    count += len(values)
                    continue
                stream.bytes_in += len(request.chunk)
                await self._aside.to_its_end(lambda chunk=request.chunk: _write(archive, chunk))  # type: ignore[misc]
        # A client that died ends its messages, too; that it is gone is told a moment later.
        await asyncio.sleep(CANCELLED_S)
        if total_bytes and stream.bytes_in != total_bytes:
            _refuse_archive(f"it was announced with {total_bytes} bytes, and {stream.bytes_in} came")
        return count

    async def _named_by(self, naming_key: bytes, place: Path) -> Vault:
        if len(naming_key) != NAMING_KEY_BYTES:
            refuse("INVALID_ARGUMENT", "BAD_KEY", "the key of sealed values' names has 32 bytes", "sealed.naming_key")
        await self._aside.to_its_end(lambda: write_durably(place / "naming_key", naming_key))
        return Vault(place / "sealed", self._identity.machine_key, naming_key)

    async def _imported(self, place: Path) -> Title:
        def imported() -> Title:
            with (place / "archive").open("rb") as source:
                return import_archive(source, place / "journal")

        try:
            return await self._aside.to_its_end(imported)
        except JournalFull:
            _refuse_room(f"{self._layout.state} has no room for the journal of this archive")
        except JournalError as error:
            _refuse_archive(str(error))


def _write(archive: BinaryIO, chunk: bytes) -> None:
    archive.write(chunk)


def _refuse_archive(why: str) -> NoReturn:
    refuse("DATA_LOSS", "BAD_ARCHIVE", f"{why}. Nothing was changed here", "chunk")


@contextlib.contextmanager
def _full_is_told(layout: Layout) -> Iterator[None]:
    """Whichever file of a restore it was that the disk had no room for."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _refuse_room(f"{layout.state} has no room for this archive ({error.strerror})")


def _refuse_room(why: str) -> NoReturn:
    refuse("RESOURCE_EXHAUSTED", "NO_SPACE", f"{why}: nothing was restored. Free space there, and restore it again")


def _mib(size: int) -> int:
    return -(-size >> 20)

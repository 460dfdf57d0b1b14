"""Copies into and out of microVMs: the guest makes the archive, or takes it apart, and the channel carries it.

The guest runs what a container's copies are made by (copies/), in the payload's file system. A microVM that does not
run has nobody to do that: its writable layer is a file system that its guest has written, and mounted here it would be
read by this machine's kernel, which is what a microVM is there to prevent.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from typing import Any

from capsule.guest.v1 import guest_pb2 as pb
from effects.errors import CopyFailed, DriverError, NotRunning, RuntimeUnavailable, refused_copy
from effects.microvms.agent import Agent
from effects.microvms.agents import Agents
from effects.microvms.seemly import seemly
from effects.runs.copy_protocol import CopyPlace, CopyReport, Give

PIECE = 64 << 10
READY_S = 30.0
"""For a guest to enter the place. A swapping or emulated one takes a while."""
CLOSE_S = 30.0
"""For it to remove what is not to stay."""
_REASON = re.compile(r"[A-Z][A-Z_]{1,39}")


class MicroVMCopier:
    """See the protocol."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def into(self, place: CopyPlace) -> "MicroVMCopyIn":
        """See the protocol."""
        agent = self._agent(place)
        session = MicroVMCopyIn(agent, await agent.stream("CopyIn"))
        try:
            await session.begin(place.path)
        except BaseException:
            await asyncio.shield(session.close())
            raise
        return session

    async def out_of(self, place: CopyPlace) -> "MicroVMCopyOut":
        """See the protocol."""
        agent = self._agent(place)
        session = MicroVMCopyOut(agent, await agent.stream("CopyOut", pb.CopyStart(path=place.path)))
        try:
            await session.begin()
        except BaseException:
            await session.close()
            raise
        return session

    def _agent(self, place: CopyPlace) -> Agent:
        if not place.run:
            raise NotRunning(
                f"{place.name} does not run, and only its own guest reads a microVM's files: `capsulectl start "
                f"{place.name}`, then copy"
            )
        return self._agents.of(place.name, place.uid, place.run)


class _Copy:
    """What both ways have in common. Nobody else's pipe has anything to do with it: the archive is in the guest."""

    handed = False

    def __init__(self, agent: Agent, call: Any) -> None:
        self.moved = 0
        self._agent = agent
        self._call = call
        self._report: CopyReport | None = None

    @property
    def report(self) -> CopyReport:
        """See the protocol."""
        assert self._report is not None
        return self._report

    def hand(self, give: Give) -> bool:
        """See the protocol."""
        return False

    async def _message(self, timeout_s: float | None = None) -> Any:
        """What the guest says next. Raises what it refuses, and when it says nothing more."""
        try:
            message = await self._agent.read(self._call, timeout_s)
        except RuntimeUnavailable as error:
            raise self._lost() from error
        if message is None:
            raise self._lost()
        if message.WhichOneof("message") == "refused":
            self.moved = message.refused.moved
            raise _refusal(message.refused)
        return message

    def _lost(self) -> DriverError:
        name = self._agent.key[0]
        return CopyFailed(
            "CALLED_OFF",
            f"the way into {name} was cut, and the copy with it: `capsulectl get {name}` tells whether it still runs; "
            "then copy again",
        )

    async def _ready(self) -> None:
        message = await self._message(READY_S)
        if message.WhichOneof("message") != "ready":
            raise self._misplaced()

    def _misplaced(self) -> CopyFailed:
        return CopyFailed("COPY_FAILED", f"the guest of {self._agent.key[0]} says what has no place in a copy")

    def _done(self, message: pb.CopyServerMessage) -> CopyReport:
        if message.WhichOneof("message") != "done":
            raise self._misplaced()
        done = message.done
        self.moved = done.moved
        self._report = CopyReport(done.entries, done.left_out, done.changed, done.moved)
        return self._report


class MicroVMCopyIn(_Copy):
    """See CopyIn in the protocol."""

    def __init__(self, agent: Agent, call: Any) -> None:
        super().__init__(agent, call)
        self._outcome: asyncio.Task[CopyReport] | None = None

    async def begin(self, path: str) -> None:
        """Bytes may move. Raises DriverError."""
        await self._agent.within(self._call.write(pb.CopyInClientMessage(start=pb.CopyStart(path=path))), READY_S)
        await self._ready()
        self._outcome = asyncio.ensure_future(self._listen())

    async def _listen(self) -> CopyReport:
        """A guest may refuse at any time."""
        return self._done(await self._message())

    async def write(self, data: bytes | memoryview) -> None:
        """See the protocol."""
        for start in range(0, len(data), PIECE):
            await self._say(pb.CopyInClientMessage(data=bytes(data[start : start + PIECE])))

    async def finish(self) -> CopyReport:
        """See the protocol."""
        await self._say(pb.CopyInClientMessage(commit=True))
        assert self._outcome is not None
        return await asyncio.shield(self._outcome)

    async def _say(self, message: pb.CopyInClientMessage) -> None:
        assert self._outcome is not None
        if not self._outcome.done():
            try:
                await self._agent.within(self._call.write(message), None)
                return
            except (DriverError, asyncio.InvalidStateError):
                await asyncio.wait((self._outcome,), timeout=READY_S)  # the guest says why it takes nothing more
        if self._outcome.done():
            self._outcome.result()
        raise self._lost()

    async def close(self) -> None:
        """See the protocol. The last word without `commit` lets the guest remove what came."""
        try:
            if not self._call.done():
                with contextlib.suppress(DriverError, asyncio.InvalidStateError):
                    await self._agent.within(self._call.done_writing())
            if self._outcome is not None:
                await asyncio.wait((self._outcome,), timeout=CLOSE_S)
        finally:
            self._call.cancel()
            if self._outcome is not None:
                await asyncio.wait((self._outcome,))
                self._outcome.exception()


class MicroVMCopyOut(_Copy):
    """See CopyOut in the protocol."""

    async def begin(self) -> None:
        """Bytes may move. Raises DriverError."""
        await self._ready()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """See the protocol."""
        while (message := await self._message()).WhichOneof("message") == "data":
            self.moved += len(message.data)
            yield message.data
        self._done(message)

    async def close(self) -> None:
        """See the protocol."""
        self._call.cancel()


def _refusal(refused: pb.Refused) -> DriverError:
    reason = refused.reason if _REASON.fullmatch(refused.reason) else "COPY_FAILED"
    return refused_copy(reason, seemly(refused.message) or "the guest gave no reason")

"""A guest that is none: its agent's service on simulated drivers, behind a real channel whose stream is a socket's.

It keeps to guest.proto as the real one does, so what the daemon does with an agent can be held against it in moments.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from capsule.guest.v1 import guest_pb2 as pb
from capsule.guest.v1 import guest_pb2_grpc
from effects.errors import DriverError
from effects.microvms.agents import Agents
from effects.microvms.executor import WINDOW_BYTES
from effects.microvms.places import Key
from effects.runs.copy_protocol import Copier, CopyPlace
from effects.runs.exec_protocol import ExecRequest, ExecSession, Executor, Window
from guest.service import relay

KEY = Key("web", 7, 1)
SHORT = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 4096))
"""Of a server that takes no more of a call than this before somebody reads it."""


class TwinGuest(guest_pb2_grpc.GuestServiceServicer):
    """The agent in the run KEY. What a test wants to have otherwise it sets: with a `script` that is all that it says
    to an exec; `deaf`, it says that a process began, and reads nothing more of it. `asked` has the names of what was asked; `swallows` is how many of the next questions for its status get
    no answer. Its clock is `behind_ns` behind; without one (None) it does not say what time it has."""

    def __init__(self, executor: Executor, copier: Copier | None = None) -> None:
        self.versions = (1, 1)
        self.key = KEY
        self.asked: list[str] = []
        self.secrets: dict[str, pb.SecretFile] = {}
        self.stats = pb.StatsResponse()
        self.mute = False
        self.swallows = 0
        self.behind_ns: int | None = None
        self.told_ns: list[int] = []
        self.script: tuple[pb.ExecServerMessage, ...] = ()
        self.deaf = False
        self._executor = executor
        self._copier = copier

    async def Hello(self, request: pb.HelloRequest, context: Any) -> pb.HelloResponse:
        await self._noted("Hello")
        version = min(self.versions[1], request.version_max)
        spoken = version >= max(self.versions[0], request.version_min)
        name, uid, run = self.key
        return pb.HelloResponse(
            version=version if spoken else 0,
            version_min=self.versions[0],
            version_max=self.versions[1],
            release="0.0.1\x1b[2J",
            name=name,
            uid=uid,
            run=run,
        )

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusResponse:
        await self._noted("Status")
        if self.swallows:
            self.swallows -= 1
            await asyncio.Event().wait()
        await self._checked(context)
        if request.clock_behind_ns:
            self.told_ns.append(request.clock_behind_ns)
        if self.behind_ns is None:
            return pb.StatusResponse(phase=pb.PHASE_RUNNING)
        self.behind_ns -= request.clock_behind_ns
        return pb.StatusResponse(phase=pb.PHASE_RUNNING, time_ns=time.time_ns() - self.behind_ns)

    async def Stats(self, request: pb.StatsRequest, context: Any) -> pb.StatsResponse:
        await self._noted("Stats")
        return self.stats

    async def Stop(self, request: pb.StopRequest, context: Any) -> pb.StopResponse:
        await self._noted(f"Stop {request.signal} {request.grace_ms}")
        return pb.StopResponse()

    async def PlaceSecrets(self, request: pb.PlaceSecretsRequest, context: Any) -> pb.PlaceSecretsResponse:
        await self._noted("PlaceSecrets")
        self.secrets = {file.path: file for file in request.files}
        return pb.PlaceSecretsResponse()

    async def Freeze(self, request: pb.FreezeRequest, context: Any) -> pb.FreezeResponse:
        await self._noted(f"Freeze {request.path}")
        return pb.FreezeResponse()

    async def Thaw(self, request: pb.ThawRequest, context: Any) -> pb.ThawResponse:
        await self._noted(f"Thaw {request.path}")
        return pb.ThawResponse(late=request.path == "/late")

    async def _checked(self, context: Any) -> None:
        if self.versions[0] > 1:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no version that both speak")

    async def _noted(self, asked: str) -> None:
        self.asked.append(asked)
        if self.mute:
            await asyncio.Event().wait()

    # --- processes -----------------------------------------------------------------------------------------------

    async def Exec(
        self, requests: AsyncIterator[pb.ExecClientMessage], context: Any
    ) -> AsyncGenerator[pb.ExecServerMessage, None]:
        await self._noted("Exec")
        start = (await anext(requests)).start
        if self.script:
            for said in self.script:
                yield said
            return
        if self.deaf:
            yield pb.ExecServerMessage(started=pb.ExecStarted(pid=1))
            await asyncio.Event().wait()
        try:
            session = await self._executor.open(_request(start))
        except DriverError as error:
            yield pb.ExecServerMessage(refused=pb.Refused(reason=error.reason, message=error.message))
            return
        answers: asyncio.Queue[pb.ExecServerMessage | None] = asyncio.Queue(1)
        tasks = [asyncio.ensure_future(work(session, requests, answers)) for work in (_tell, _hear)]
        try:
            yield pb.ExecServerMessage(started=pb.ExecStarted(pid=1))
            while (answer := await answers.get()) is not None:
                yield answer
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.shield(session.close())

    # --- copies --------------------------------------------------------------------------------------------------

    async def CopyIn(
        self, requests: AsyncIterator[pb.CopyInClientMessage], context: Any
    ) -> AsyncGenerator[pb.CopyServerMessage, None]:
        await self._noted("CopyIn")
        assert self._copier is not None
        place = CopyPlace(*self.key[:2], self.key[1], self.key[2], (await anext(requests)).start.path)
        session = None
        try:
            session = await self._copier.into(place)
            yield pb.CopyServerMessage(ready=pb.CopyReady())
            async for message in requests:
                if message.WhichOneof("message") == "commit":
                    report = await session.finish()
                    yield pb.CopyServerMessage(done=_done(report, report.archive_bytes))
                    break
                await session.write(message.data)
        except DriverError as error:
            yield pb.CopyServerMessage(refused=_refused(error, session.moved if session else 0))
        finally:
            if session is not None:
                await asyncio.shield(session.close())

    async def CopyOut(self, request: pb.CopyStart, context: Any) -> AsyncGenerator[pb.CopyServerMessage, None]:
        await self._noted("CopyOut")
        assert self._copier is not None
        session = None
        try:
            session = await self._copier.out_of(CopyPlace(*self.key[:2], self.key[1], self.key[2], request.path))
            yield pb.CopyServerMessage(ready=pb.CopyReady())
            async for piece in session.pieces():
                for start in range(0, len(piece), 1 << 16):
                    yield pb.CopyServerMessage(data=piece[start : start + (1 << 16)])
            yield pb.CopyServerMessage(done=_done(session.report, session.report.archive_bytes))
        except DriverError as error:
            yield pb.CopyServerMessage(refused=_refused(error, session.moved if session else 0))
        finally:
            if session is not None:
                await asyncio.shield(session.close())


def _request(start: pb.ExecStart) -> ExecRequest:
    return ExecRequest(
        *KEY,
        argv=tuple(start.argv),
        env=tuple(start.env.items()),
        stdin=start.stdin,
        tty=start.tty,
        window=Window(start.window.cols, start.window.rows) if start.HasField("window") else Window(),
        user=start.user,
        working_dir=start.working_dir,
    )


async def _tell(session: ExecSession, requests: Any, answers: asyncio.Queue[pb.ExecServerMessage | None]) -> None:
    async for number, data in session.output():
        for start in range(0, len(data), 1 << 16):
            piece = data[start : start + (1 << 16)]
            await answers.put(pb.ExecServerMessage(stdout=piece) if number == 1 else pb.ExecServerMessage(stderr=piece))
    await answers.put(pb.ExecServerMessage(exit=await session.wait()))
    await answers.put(None)


async def _hear(
    session: ExecSession,
    requests: AsyncIterator[pb.ExecClientMessage],
    answers: asyncio.Queue[pb.ExecServerMessage | None],
) -> None:
    untaken = 0
    async for message in requests:
        match message.WhichOneof("message"):
            case "stdin":
                untaken += len(message.stdin)
                assert untaken <= WINDOW_BYTES
                await session.write(message.stdin)
                untaken -= len(message.stdin)
                await answers.put(pb.ExecServerMessage(taken=len(message.stdin)))
            case "end_of_input":
                await session.end_input()
            case "resize":
                await session.resize(Window(message.resize.cols, message.resize.rows))
            case "signal":
                await session.signal(message.signal)
    await session.close()


def _done(report: Any, moved: int) -> pb.CopyDone:
    return pb.CopyDone(entries=report.entries, left_out=report.left_out, changed=report.changed, moved=moved)


def _refused(error: DriverError, moved: int) -> pb.Refused:
    return pb.Refused(reason=error.reason, message=error.message, moved=moved)


class Reached:
    """The daemon's side of a twin guest. `cut` ends the stream to it, and the daemon dials the next one; while it is
    `away` there is none, and with a `lack` this machine cannot dial."""

    def __init__(self, agents: Agents, service: TwinGuest) -> None:
        self.agents = agents
        self.service = service
        self.silent: list[str] = []
        self.away = False
        self.lack = 0
        self._streams: list[socket.socket] = []

    async def dial(self) -> socket.socket:
        """A stream to the guest."""
        if self.lack:
            raise OSError(self.lack, os.strerror(self.lack))
        if self.away:
            raise ConnectionRefusedError
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._streams.append(ours)
        threading.Thread(target=self._relay, args=(theirs,), daemon=True).start()
        return ours

    def _relay(self, stream: socket.socket) -> None:
        with stream:
            relay.Relay(stream.fileno(), self.target).run()

    target = ""

    def cut(self) -> None:
        """As when the daemon dies."""
        with suppress(OSError):
            self._streams[-1].shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def reached(directory: Path, service: TwinGuest) -> AsyncIterator[Reached]:
    """Agents with this one among them."""
    server = grpc.aio.server(options=SHORT if service.deaf else ())
    guest_pb2_grpc.add_GuestServiceServicer_to_server(service, server)
    server.add_insecure_port(f"unix:{directory}/agent")
    await server.start()
    made = Reached(Agents(directory / "agents", lambda key, why: made.silent.append(why)), service)
    made.target = str(directory / "agent")
    made.agents.add(KEY, made.dial)
    try:
        yield made
    finally:
        await made.agents.close()
        await server.stop(None)

"""Further processes inside microVMs: each is a call to the VM's agent, and ends with it.

So nothing has to be swept up after a crash of the daemon: its channel ends with it, the agent's calls with that, and
the agent hangs up on the process of each.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from capsule.guest.v1 import guest_pb2 as pb
from effects.errors import (
    BadUser,
    BadWorkingDir,
    DriverError,
    EntrypointMissing,
    GuestBusy,
    GuestFailed,
    NotExecutable,
    NotRunning,
    RuntimeUnavailable,
    StartFailed,
)
from effects.microvms.agent import Agent
from effects.microvms.agents import Agents
from effects.microvms.seemly import seemly
from effects.runs.exec_protocol import ExecRequest, Window

PIECE = 64 << 10
WINDOW_BYTES = 256 << 10
"""So much input may be on its way to a process that does not read."""
PIECES_MAX = 16
"""Pieces of output that may wait for whoever reads it."""
START_S = 30.0
"""For a process to be started: a guest that swaps, or is emulated, takes a while."""
CLOSE_S = 30.0
"""For a guest to be told that it shall hang up on a process, and for that to end, and to be killed if it does not."""

_REFUSALS: dict[str, type[DriverError]] = {
    "ENTRYPOINT_MISSING": EntrypointMissing,
    "NOT_EXECUTABLE": NotExecutable,
    "BAD_USER": BadUser,
    "BAD_WORKING_DIR": BadWorkingDir,
    "NOT_RUNNING": NotRunning,
    "GUEST_BUSY": GuestBusy,
}


class MicroVMExecutor:
    """See the protocol."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def open(self, request: ExecRequest) -> "MicroVMExec":
        """See the protocol."""
        agent = self._agents.of(request.name, request.uid, request.run)
        session = MicroVMExec(agent, await agent.stream("Exec"))
        try:
            await session.start(request)
        except BaseException:
            await asyncio.shield(session.close())
            raise
        return session

    async def sweep(self) -> None:
        """See the protocol: nothing is left to be swept up."""


class MicroVMExec:
    """One process. See the protocol.

    What is read or written on a call may not be cancelled, or the call is: so one task reads it to its end, and what is
    said is said to its end, whoever has gone meanwhile. The agent hears a signal although the process does not read,
    because no more input is on its way than the agent may keep: it says what was taken of it.
    """

    def __init__(self, agent: Agent, call: Any) -> None:
        self._agent = agent
        self._call = call
        self._name = agent.key[0]
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._output: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(PIECES_MAX)
        self._reading: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._room = asyncio.Condition()
        self._room_bytes = WINDOW_BYTES
        self._input_over = False
        self._closed = False
        self._tty = False

    async def start(self, request: ExecRequest) -> None:
        """The process runs. Raises DriverError."""
        self._tty, self._input_over = request.tty, not request.stdin
        start = pb.ExecStart(
            argv=request.argv,
            env=dict(request.env),
            user=request.user,
            working_dir=request.working_dir,
            tty=request.tty,
            window=_window(request.window) if request.tty else None,
            stdin=request.stdin,
        )
        await self._agent.within(self._call.write(pb.ExecClientMessage(start=start)), START_S)
        answer = await self._agent.read(self._call, START_S)
        kind = None if answer is None else answer.WhichOneof("message")
        if kind == "refused":
            raise _refusal(answer.refused)
        if kind != "started":
            raise GuestFailed(f"the guest of {self._name} did not say that the process began")
        self._reading = asyncio.ensure_future(self._read())

    # --- while it runs -------------------------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """See the protocol."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            async with self._room:
                await self._room.wait_for(lambda: self._ended.done() or self._room_bytes >= PIECE)
                if self._input_over or self._ended.done():
                    return
                self._room_bytes -= len(piece)
            await self._send(pb.ExecClientMessage(stdin=piece))

    async def end_input(self) -> None:
        """See the protocol."""
        if not self._input_over:
            self._input_over = True
            if not self._tty:
                await self._send(pb.ExecClientMessage(end_of_input=True))

    async def resize(self, window: Window) -> None:
        """See the protocol."""
        if self._tty:
            await self._send(pb.ExecClientMessage(resize=_window(window)))

    async def signal(self, number: int) -> None:
        """See the protocol."""
        await self._send(pb.ExecClientMessage(signal=number))

    async def _send(self, message: pb.ExecClientMessage) -> None:
        await asyncio.shield(self._said(message))

    async def _said(self, message: pb.ExecClientMessage | None) -> None:
        """None for the last word. What an ended process, or a guest that has gone, cannot be told any more is told."""
        async with self._sending:
            if self._closed:
                return
            with contextlib.suppress(DriverError, asyncio.InvalidStateError):
                if message is None:
                    self._closed = True
                    await self._agent.within(self._call.done_writing(), None)
                elif not self._ended.done():
                    await self._agent.within(self._call.write(message), None)

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """See the protocol."""
        while (piece := await self._output.get()) is not None:
            yield piece
        self._output.put_nowait(None)

    async def wait(self) -> int:
        """See the protocol."""
        return await asyncio.shield(self._ended)

    # --- what the agent says -------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """To the end of the call, no faster than the output is taken away; of a closed session nobody takes any."""
        try:
            while (message := await self._agent.read(self._call)) is not None:
                await self._heard(message)
            await self._over(NotRunning("the microVM ended, and this process with it"))
        except RuntimeUnavailable:
            await self._over(
                NotRunning(
                    f"the way into {self._name} was cut, and this process ended with it: `capsulectl get {self._name}` "
                    "tells whether the microVM has ended, too"
                )
            )
        except DriverError as error:
            self._call.cancel()
            await self._over(error)

    async def _heard(self, message: pb.ExecServerMessage) -> None:
        match message.WhichOneof("message"):
            case "stdout" | "stderr" as stream if not self._ended.done():
                if not self._closed:
                    await self._output.put((1, message.stdout) if stream == "stdout" else (2, message.stderr))
            case "taken" if message.taken <= WINDOW_BYTES - self._room_bytes:
                async with self._room:
                    self._room_bytes += message.taken
                    self._room.notify_all()
            case "exit" if not self._ended.done():
                await self._over(message.exit & 0xFF)
            case _:
                raise GuestFailed(f"the guest of {self._name} says what has no place in an exec")

    async def _over(self, how: int | DriverError) -> None:
        """The process has ended, as far as anybody will ever hear."""
        if self._ended.done():
            return
        if isinstance(how, int):
            self._ended.set_result(how)
        else:
            self._ended.set_exception(how)
            self._ended.exception()  # nobody need wait for it
        async with self._room:
            self._room.notify_all()
        if not self._closed:
            await self._output.put(None)

    # --- its end -------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """See the protocol. After the last word the agent hangs up, kills, and ends the call when nothing is left."""
        last = asyncio.ensure_future(self._said(None))
        await asyncio.wait((last,), timeout=CLOSE_S)
        heard = last.done()
        if not heard:
            # Nothing is said while something else is, and a guest that does not read holds that up for ever.
            self._call.cancel()
            await asyncio.wait((last,))
        while not self._output.empty():
            self._output.get_nowait()  # who waited to put something here finds that nobody wants it
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=CLOSE_S)
            if not heard or not self._reading.done():
                self._call.cancel()
                await asyncio.wait((self._reading,))
                raise RuntimeUnavailable(
                    f"the guest of {self._name} has not ended a process of exec within {CLOSE_S:.0f} s"
                )
        self._call.cancel()
        if self._output.empty():
            self._output.put_nowait(None)


def _window(window: Window) -> pb.Window:
    return pb.Window(cols=window.cols, rows=window.rows)


def _refusal(refused: pb.Refused) -> DriverError:
    return _REFUSALS.get(refused.reason, StartFailed)(seemly(refused.message) or "the guest gave no reason")

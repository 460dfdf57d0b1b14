"""What the client of an exec sends, handed to its process in order."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from capsule.v1 import workload_pb2 as pb
from capsuled.rpc import Refused, refuse
from effects.runs.exec_protocol import ExecSession, Window
from journal.errors import JournalError

Requests = AsyncIterator[pb.WorkloadExecClientMessage]

SIZE_S = 0.1
"""For what comes behind the config of a client that named no size there: those in the field send it right away."""

_CELLS_MAX = (1 << 16) - 1
_SIGNALS = frozenset(map(int, signal.valid_signals()))


class Feed:
    """Reads from the beginning, before there is a process: the terminal's size may be known by then, the rest waits.

    `window` is the last size the client named, None before it did; `bytes_in` counts what the process was given.
    `wrong` is what a message was refused for, after which nothing is read: its process is killed.
    """

    def __init__(self, requests: Requests, window: Window | None = None) -> None:
        self.window = window
        self.bytes_in = 0
        self.wrong: Refused | JournalError | None = None
        self._requests = requests
        self._session: asyncio.Future[ExecSession] = asyncio.get_running_loop().create_future()
        self._input_ended = asyncio.Event()
        self._said_more = asyncio.Event()
        self._reading = asyncio.ensure_future(self._read())

    @property
    def ended(self) -> bool:
        """Whether the client has said already that nothing will come."""
        return self._input_ended.is_set()

    async def size(self) -> Window | None:
        """The terminal's, waited for a moment where the client named none yet."""
        if self.window is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SIZE_S):
                    await self._said_more.wait()
        return self.window

    def begin(self, session: ExecSession) -> None:
        """There is a process now."""
        self._session.set_result(session)

    async def close(self) -> None:
        """Read nothing more."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            await self._handed_on()
        except (Refused, JournalError) as error:
            self.wrong = error
            self._said_more.set()
            session = await self._session
            await session.signal(signal.SIGKILL)

    async def _handed_on(self) -> None:
        async for message in self._requests:
            self._said_more.set()
            match message.WhichOneof("payload"):
                case "stdin":
                    await self._write(message.stdin)
                case "resize":
                    await self._resize(message.resize)
                case "signal":
                    await self._signal(message.signal)
                case "end_of_input":
                    await self._end_input()
        await self._end_input()

    async def _write(self, data: bytes) -> None:
        session = await self._session
        if data:
            self.bytes_in += len(data)
            await session.write(data)

    async def _end_input(self) -> None:
        self._input_ended.set()
        self._said_more.set()
        session = await self._session
        await session.end_input()

    async def _resize(self, message: pb.WorkloadExecResize) -> None:
        window = window_of(message)
        if window is None:
            return
        self.window = window
        session = await self._session
        await session.resize(window)

    async def _signal(self, number: int) -> None:
        if number not in _SIGNALS:
            refuse("INVALID_ARGUMENT", "BAD_SIGNAL", f"{number} is the number of no signal", "signal")
        session = await self._session
        await session.signal(number)


def window_of(message: pb.WorkloadExecResize) -> Window | None:
    """A size that a terminal can have; None when the client does not know its own."""
    if not message.cols or not message.rows:
        return None
    return Window(min(message.cols, _CELLS_MAX), min(message.rows, _CELLS_MAX))

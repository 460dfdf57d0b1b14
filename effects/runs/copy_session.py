"""A copy under way: an archive in a pipe, with whoever is in the workload's file system at its other end.

What that end says comes over a socket: `ready`, then `done` with counts, or `refused` with a reason, at any time. It is
the same for the real one, a process, and for the twin's.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

from copies.inside import COMMIT, LINE, Request
from effects.errors import CopyFailed, DriverError, refused_copy
from effects.runs.copy_protocol import CopyReport, Give

PIPE_BYTES = 1 << 20
END_S = 10.0
"""For the other end to remove what it has not brought to its place. Then it is killed."""


class Peer(Protocol):
    """The other end."""

    async def wait(self) -> object:
        """Until it has ended."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


Launch = Callable[[int, int | None, int | None], Awaitable[Peer]]
"""Starts the other end, with its socket, and the archive to read or to write."""


class CopySession:
    """See CopyIn and CopyOut in the protocol."""

    def __init__(self, left: Callable[["CopySession"], None]) -> None:
        """`left` is told once the other end has gone."""
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._control, self._theirs = socket.socketpair()
        self._control.setblocking(False)
        self._answers = b""
        self._pipe = -1
        self._peer: Peer | None = None
        self._report: CopyReport | None = None
        self._begun = False
        self.handed = False
        self.moved = 0
        self._waiting: asyncio.Future[None] | None = None
        self._unwatch: Callable[[], object] = lambda: None
        self._off: DriverError | None = None
        self._starting = asyncio.Lock()

    async def begin(self, request: Request, launch: Launch) -> None:
        """Ready for bytes to move. Raises DriverError."""
        async with self._starting:
            await self._start(request, launch)
        self._check()
        self._control.sendall(request.packed())
        await self._expected("ready")

    async def _start(self, request: Request, launch: Launch) -> None:
        self._check()
        inbound = request.way == "to"
        reading, writing = os.pipe()
        self._pipe, other = (writing, reading) if inbound else (reading, writing)
        try:
            with contextlib.suppress(OSError):  # a limit of this machine's: the pipe is as large as it is
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(self._pipe, False)
            sides = (other, None) if inbound else (None, other)
            self._peer = await launch(self._theirs.fileno(), *sides)
        finally:
            os.close(other)
            self._theirs.close()

    @property
    def report(self) -> CopyReport:
        """See CopyOut."""
        assert self._report is not None
        return self._report

    async def write(self, data: bytes | memoryview) -> None:
        """See CopyIn."""
        if self.handed:
            raise CopyFailed("BAD_ARCHIVE", "the archive comes by a pipe, and a part of it came in a message")
        self._begun = True
        left = memoryview(data)
        while left:
            self._check()
            try:
                left = left[os.write(self._pipe, left) :]
            except BlockingIOError:
                await self._ready(self._pipe, write=True)
            except BrokenPipeError:
                await self._expected("done")  # it says why
                raise _died() from None

    async def finish(self) -> CopyReport:
        """See CopyIn."""
        self._check()
        self._close_pipe()
        with contextlib.suppress(OSError):
            self._control.send(COMMIT)
        self._report = await self._counts()
        return self._report

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """See CopyOut."""
        self._begun = True
        while not self.handed:
            self._check()
            try:
                piece = os.read(self._pipe, PIPE_BYTES)
            except BlockingIOError:
                await self._ready(self._pipe)
                continue
            if not piece:
                break
            yield piece
        self._report = await self._counts()

    def hand(self, give: Give) -> bool:
        """See Handed."""
        if self._begun or self._pipe < 0 or not give(self._pipe):
            return False
        self.handed = True
        self._close_pipe()
        return True

    async def call_off(self, why: DriverError) -> None:
        """Whoever uses this hears `why`; when this returns, the other end has left, and nothing of its work stays."""
        self._off = self._off or why
        waiting = self._waiting
        self._wait_no_more()
        if waiting is not None and not waiting.done():
            waiting.set_exception(why)
        await self.close()

    async def close(self) -> None:
        """See both."""
        async with self._starting:
            self._close_pipe()
            self._theirs.close()
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)
            if self._peer is not None:
                try:
                    async with asyncio.timeout(END_S):
                        await self._peer.wait()
                except TimeoutError:
                    self._peer.kill()
                    await self._peer.wait()
            self._hear_out()
            self._control.close()
        self._left(self)

    # --- what the other end says ---------------------------------------------------------------------------------

    async def _counts(self) -> CopyReport:
        return CopyReport(*(int(field) for field in await self._expected("done")))

    async def _expected(self, word: str) -> list[str]:
        """The fields of the next answer. Raises what it refuses."""
        said, *fields = self._noted(await self._answer())
        if said == word:
            return fields
        if said != "refused" or len(fields) != 3:
            raise _died()
        reason, message, _ = fields
        raise refused_copy(reason, message)

    def _noted(self, answer: list[str]) -> list[str]:
        if answer[0] in ("done", "refused") and answer[-1].isdecimal():
            self.moved = int(answer[-1])
        return answer

    def _hear_out(self) -> None:
        """What the other end said last, where nobody waited for it."""
        with contextlib.suppress(OSError):
            self._answers += self._control.recv(1 << 16)
        for line in self._answers.split(LINE)[:-1]:
            self._noted(line.decode(errors="replace").split("\0"))

    async def _answer(self) -> list[str]:
        while LINE not in self._answers:
            self._check()
            try:
                more = self._control.recv(1 << 16)
            except BlockingIOError:
                await self._ready(self._control.fileno())
                continue
            except OSError as error:
                if error.errno != errno.ECONNRESET:
                    raise
                more = b""
            if not more:
                raise _died()
            self._answers += more
        line, _, self._answers = self._answers.partition(LINE)
        return line.decode(errors="replace").split("\0")

    # --- waiting -------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._off is not None:
            raise self._off

    async def _ready(self, fd: int, write: bool = False) -> None:
        self._waiting = waiting = self._loop.create_future()
        if write:
            self._loop.add_writer(fd, _wake, waiting)
            self._unwatch = lambda: self._loop.remove_writer(fd)
        else:
            self._loop.add_reader(fd, _wake, waiting)
            self._unwatch = lambda: self._loop.remove_reader(fd)
        try:
            await waiting
        finally:
            if self._waiting is waiting:
                self._wait_no_more()

    def _wait_no_more(self) -> None:
        """Before a descriptor is closed, or its number would be watched when it is another's."""
        if self._waiting is not None:
            self._unwatch()
            self._waiting = None

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _died() -> CopyFailed:
    return CopyFailed("COPY_FAILED", "what copies in the workload's file system has died: `capsulectl capsule logs`")

"""One process of an exec: its streams between the call's messages and its own pipes, or its terminal.

It is there as long as its call. When the client has said its last message, or has gone, it is hung up on, and the call
ends once nothing of its session is left.
"""

import contextlib
import fcntl
import os
import queue
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from capsule.guest.v1 import guest_pb2 as pb
from guest.service.link import Link, Process
from guest.service.refusals import Refusal

PIECE = 64 << 10
FLUSH_S = 0.5
"""How long after the process's end its outputs may be open and quiet: a child that inherited them would hold them for
ever."""
LINGER_S = 3.0
"""How long after its end they are read in all: such a child may write for ever, too."""
_QUEUED = 4
_LOOK_S = 0.1


class Execution:
    """A process, its input and its outputs."""

    def __init__(self, link: Link, start: pb.ExecStart) -> None:
        """Raises Refusal when it does not come to be."""
        self._link = link
        self._said: queue.Queue[pb.ExecServerMessage | None] = queue.Queue(_QUEUED)
        self._terminal = -1
        self._input = -1
        self._outputs: dict[int, str] = {}
        self._given: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._saying = threading.Lock()
        self._exited = False
        self._over = threading.Event()
        self._deserted = threading.Event()
        asked: dict[str, Any] = {
            "do": "exec",
            "argv": list(start.argv),
            "env": dict(start.env),
            "user": start.user,
            "cwd": start.working_dir,
            "tty": start.tty,
            "cols": start.window.cols or 80,
            "rows": start.window.rows or 24,
        }
        if not start.argv or not start.argv[0]:
            raise Refusal("ENTRYPOINT_MISSING", "no command was given")
        self._process = self._with_terminal(asked) if start.tty else self._with_pipes(asked, start.stdin)
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()
        threading.Thread(target=self._read, daemon=True).start()

    def _with_terminal(self, asked: dict[str, Any]) -> Process:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = self._link.start(asked, (theirs.fileno(),))
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        self._terminal = self._input = fds[0]
        self._outputs = {fds[0]: "stdout"}
        return process

    def _with_pipes(self, asked: dict[str, Any], has_input: bool) -> Process:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            found = {}
            for name in ("stdout", "stderr"):
                reading, writing = os.pipe()
                theirs.callback(os.close, writing)
                ours.callback(os.close, reading)
                found[name] = (reading, writing)
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            if has_input:
                os.close(stdin)
                stdin, self._input = os.pipe()
                ours.callback(os.close, self._input)
            theirs.callback(os.close, stdin)
            process = self._link.start(asked, (stdin, found["stdout"][1], found["stderr"][1]))
            ours.pop_all()
        self._outputs = {reading: name for name, (reading, _) in found.items()}
        return process

    # --- what it is told ---------------------------------------------------------------------------------------------

    def hear(self, messages: Iterator[pb.ExecClientMessage]) -> None:
        """All that the client says; then the process is hung up on."""
        try:
            for message in messages:
                self._told(message)
        finally:
            self.end()

    def _told(self, message: pb.ExecClientMessage) -> None:
        match message.WhichOneof("message"):
            case "stdin":
                self._given.put(message.stdin)  # no more than the contract lets the client have on its way
            case "end_of_input":
                self._given.put(None)
            case "resize" if self._terminal >= 0:
                size = struct.pack("4H", message.resize.rows, message.resize.cols, 0, 0)
                with contextlib.suppress(OSError):
                    fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
            case "signal":
                self._link.say({"do": "signal", "id": self._process.number, "number": message.signal})

    def _feed(self) -> None:
        """What was given, and how much of it was taken; to the end of the input, or of the process."""
        while (data := self._given.get()) is not None:
            self._write(data)
            self._say(pb.ExecServerMessage(taken=len(data)))
        self._end_input()

    def _write(self, data: bytes) -> None:
        """All of it, unless the process ends or reads no more."""
        left = memoryview(data)
        while left and self._input >= 0 and not self._over.is_set():
            ready = select.poll()
            ready.register(self._input, select.POLLOUT)
            if not ready.poll(_LOOK_S * 1_000):
                if self._process.ended.is_set():
                    return
                continue
            try:
                left = left[os.write(self._input, left[: select.PIPE_BUF]) :]
            except OSError:
                return

    def _end_input(self) -> None:
        """A terminal has no such end: there it only says that nothing more comes."""
        if self._input >= 0 and self._terminal < 0:
            os.close(self._input)
            self._input = -1

    # --- what it says ------------------------------------------------------------------------------------------------

    def messages(self) -> Iterator[pb.ExecServerMessage]:
        """As it says them, to its exit code; ends once nothing of it is left, or it is deserted."""
        yield pb.ExecServerMessage(started=pb.ExecStarted(pid=self._process.pid))
        while not self._deserted.is_set() and (message := self._said.get()) is not None:
            yield message

    def _read(self) -> None:
        left = set(self._outputs)
        while left and not self._process.ended.is_set():
            for fd, data in _ready(left, _LOOK_S).items():
                if data:
                    self._say_output(self._outputs[fd], data)
                else:
                    left.remove(fd)
        for fd, rest in _rest(left).items():
            for start in range(0, len(rest), PIECE):
                self._say_output(self._outputs[fd], rest[start : start + PIECE])
        self._process.ended.wait()
        code = self._process.code
        self._say(pb.ExecServerMessage(exit=code if code >= 0 else 128 - code))
        self._over.wait()
        self._feeder.join()  # a terminal is its, too
        for fd in self._outputs:
            os.close(fd)
        self._say(None)

    def _say_output(self, name: str, data: bytes) -> None:
        self._say(pb.ExecServerMessage(**{name: data}))  # type: ignore[arg-type]

    def _say(self, message: pb.ExecServerMessage | None) -> None:
        """Waits while nobody takes it, unless nobody will."""
        with self._saying:
            if self._exited and message is not None:
                return  # the exit is the last of all
            self._exited = self._exited or (message is not None and message.WhichOneof("message") == "exit")
            while not self._deserted.is_set():
                try:
                    self._said.put(message, timeout=_LOOK_S)
                    return
                except queue.Full:
                    continue

    def desert(self) -> None:
        """The call has ended: nobody takes what it says any more. Its thread, which may wait for a word, goes."""
        self._deserted.set()
        with contextlib.suppress(queue.Full):  # then there is a word, and who takes it finds that this is over
            self._said.put_nowait(None)

    def end(self) -> None:
        """Hang up on it, if it is still there. Nothing of it is left when this returns."""
        self._link.end(self._process)
        self._over.set()
        self._given.put(None)


def _rest(fds: Iterable[int]) -> dict[int, bytes]:
    """What is in the outputs at the process's end, and what its children write for a moment. It is taken before any of
    it is said: a client that takes its time would have them go on for as long."""
    rest: dict[int, list[bytes]] = {fd: [] for fd in fds}
    room, over = {fd: _pending(fd) + PIECE for fd in rest}, time.monotonic() + LINGER_S
    while room and time.monotonic() < over and (ready := _ready(room, FLUSH_S)):
        for fd, data in ready.items():
            rest[fd].append(data)
            room[fd] -= len(data)
            if not data or room[fd] <= 0:
                del room[fd]
    return {fd: b"".join(pieces) for fd, pieces in rest.items()}


def _ready(fds: Iterable[int], wait_s: float) -> dict[int, bytes]:
    """What can be read within that time, by descriptor; nothing of one that is at its end."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd: _piece(fd) for fd, _ in poll.poll(wait_s * 1_000)}


def _piece(fd: int) -> bytes:
    try:
        return os.read(fd, PIECE)
    except OSError:
        return b""  # a terminal that nobody has open any more


def _pending(fd: int) -> int:
    """How many bytes are in a pipe; of a terminal, which keeps some behind that, at least so many."""
    (size,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    return int(size)

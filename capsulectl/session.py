"""The client's side of an exec: our streams, our terminal and our signals to the process, and its end to us.

Whatever ends it (the process, the network, an error here, a signal to us), the terminal is as it was before.
"""

import os
import queue
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import grpc

from capsule.v1 import workload_pb2 as pb
from capsulectl import standard_input, terminal
from capsulectl.apart import apart
from capsulectl.connection import Connection, failure_of, metadata, never_sent, reason_of
from capsulectl.errors import EXEC_FAILED, NOT_EXECUTABLE, NOT_FOUND, USAGE, Failure, fault
from capsulectl.exec_line import ExecLine
from capsulectl.heads import told_in
from capsulectl.render import say

CHUNK_BYTES = 64 << 10
CHUNKS_AHEAD = 16
TAKEN_S = 1.0
"""So long a signal for the process may wait behind input that it does not read. Then it is ours."""
SCREEN_S = 1.0
"""So long a screen may take a last piece of output, which is not to come behind our tidying up."""

_CODES = {"ENTRYPOINT_MISSING": NOT_FOUND, "NOT_EXECUTABLE": NOT_EXECUTABLE}
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
_PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Signalled(BaseException):
    """Raised in the main thread by a signal that ends us."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Outgoing:
    """Messages to the capsule: put from signal handlers and threads, taken by gRPC. `signalled`: so was a signal."""

    def __init__(self, config: pb.WorkloadExecConfig) -> None:
        self._queue: queue.SimpleQueue[pb.WorkloadExecClientMessage] = queue.SimpleQueue()
        self._room = threading.Semaphore(CHUNKS_AHEAD)
        self.over = False
        self.signalled = False
        self.put(config=config)

    def put(self, **payload: Any) -> None:
        """Send this next."""
        self._queue.put(pb.WorkloadExecClientMessage(**payload))

    def __iter__(self) -> Iterator[pb.WorkloadExecClientMessage]:
        while True:
            message = self._queue.get()
            yield message
            match message.WhichOneof("payload"):
                case "stdin":
                    self._room.release()
                case "signal":
                    self.signalled = True

    def read_input(self, hung_up: bool) -> None:
        """Standard input as it comes, and its end. `hung_up`: a raw terminal, which ends only by going."""
        while data := _read():
            self._room.acquire()
            self.put(stdin=data)
        if hung_up and not self.over:
            os.kill(os.getpid(), signal.SIGHUP)
        self.put(end_of_input=True)


class Session:
    """One exec, from our standard streams."""

    def __init__(self, line: ExecLine) -> None:
        env = line.variables()
        if not line.command or not line.command[0]:
            raise Failure(f"nothing to run in {line.name}: say `capsulectl exec {line.name} COMMAND`", USAGE)
        config = pb.WorkloadExecConfig(
            name=line.name,
            command=line.command,
            tty=line.tty,
            env=env,
            user=line.user,
            working_dir=line.workdir,
        )
        if line.tty and line.interactive and not terminal.is_terminal(0):
            say("capsulectl: standard input is no terminal: the command gets none either (as without -t)", line.quiet)
            config.tty = False
        self._name = line.name
        self._interactive = line.interactive
        self._tty = config.tty
        self._raw = config.tty and line.interactive
        self._seen = config.tty and terminal.is_terminal(1)
        self._terminal = terminal.Terminal()
        self._screen = threading.Lock()
        self._capsule = line.capsule
        if self._tty and (size := terminal.size()):
            config.size.cols, config.size.rows = size
        self._outgoing = Outgoing(config)
        self._signalled = 0

    def run(self) -> int:
        """The process's exit code, or what stands for a signal that ended us. Raises Failure."""
        try:
            connection = Connection(self._capsule)
        except Failure as failure:
            raise Failure(failure.message, EXEC_FAILED) from failure
        question = connection.heads.question()
        call = connection.workloads.Exec(iter(self._outgoing), metadata=(*metadata(), *question.metadata))
        exit_code: int | None = None
        try:
            with self._signals(), self._terminal.raw() if self._raw else nullcontext():
                self._begin_input()
                exit_code = apart(lambda: self._receive(call))
            connection.heads.hear(told_in(call.trailing_metadata()), question)
        except grpc.RpcError as error:
            raise self._failure(error, connection.address) from error
        except Signalled as signalled:
            return signalled.code
        except BrokenPipeError:
            _to_nowhere()
            return 128 + signal.SIGPIPE
        except OSError as error:
            message = f"the output could not be written: {error.strerror}. What ran in {self._name} was ended"
            raise Failure(message, EXEC_FAILED) from error
        except Exception as error:
            raise Failure(fault(error), EXEC_FAILED) from error
        finally:
            call.cancel()
            # Never let go of: what comes yet is not shown any more.
            if self._seen and self._screen.acquire(timeout=SCREEN_S):
                self._terminal.undo(cut=exit_code is None)
        return exit_code

    def _begin_input(self) -> None:
        if self._interactive:
            threading.Thread(target=self._outgoing.read_input, args=(self._raw,), daemon=True).start()
        else:
            self._outgoing.put(end_of_input=True)

    def _receive(self, call: Any) -> int:
        for message in call:
            with self._screen:
                match message.WhichOneof("payload"):
                    case "stdout":
                        if self._seen:
                            self._terminal.saw(message.stdout)
                        _write(1, message.stdout)
                    case "stderr":
                        _write(2, message.stderr)
                    case "exit":
                        return int(message.exit.exit_code)
        return 0

    # --- signals -------------------------------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """With raw keys, a signal to us means us. Without, the first one is the process's, which may have its own way
        of ending; the next one is ours, and so is one that does not get through to it. What our parent had us ignore
        stays ignored."""
        handlers: dict[int, Any] = {signal.SIGHUP: self._end, signal.SIGALRM: self._not_taken}
        for passed in _PASSED_ON:
            handlers[passed] = self._end if self._raw else self._pass_on
        if self._tty:
            handlers[signal.SIGWINCH] = self._resized
            handlers[signal.SIGCONT] = self._continued
        before: dict[int, Any] = {}
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
        try:
            yield
        finally:
            self._outgoing.over = True
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number in before:
                signal.signal(number, before[number])

    def _end(self, number: int, frame: object) -> None:
        """A window that is closed hangs up more than once; the way out is taken once."""
        if not self._outgoing.over:
            self._outgoing.over = True
            raise Signalled(number)

    def _pass_on(self, number: int, frame: object) -> None:
        if self._signalled:
            self._end(number, frame)
        self._signalled = number
        self._outgoing.put(signal=number)
        signal.setitimer(signal.ITIMER_REAL, TAKEN_S)

    def _not_taken(self, number: int, frame: object) -> None:
        if self._signalled and not self._outgoing.signalled:
            self._end(self._signalled, frame)

    def _resized(self, number: int, frame: object) -> None:
        if size := terminal.size():
            self._outgoing.put(resize=pb.WorkloadExecResize(cols=size[0], rows=size[1]))

    def _continued(self, number: int, frame: object) -> None:
        """Somebody stopped us; the shell that had the terminal meanwhile has set it up for itself."""
        if self._raw:
            self._terminal.enter()
        self._resized(number, frame)

    def _failure(self, error: Any, address: str) -> Failure:
        if reason_of(error):
            return Failure(error.details(), _CODES.get(reason_of(error), EXEC_FAILED))
        if error.code() in _LOST and not never_sent(error):
            message = (
                f"the connection to the capsule at {address} was lost, and with it what exec ran in {self._name}; "
                f"`capsulectl get {self._name}` tells whether the workload is well"
            )
            return Failure(message, EXEC_FAILED)
        return Failure(failure_of(error, address).message or str(error.details()), EXEC_FAILED)


def _read() -> bytes:
    try:
        return standard_input.read(CHUNK_BYTES)
    except OSError:
        return b""  # closed from the start, or a terminal that has gone


def _write(fd: int, data: bytes) -> None:
    """All of it, even where somebody made our stream non-blocking."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            select.select((), (fd,), ())


def _to_nowhere() -> None:
    """Nobody reads our output any more, and nothing shall complain of it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

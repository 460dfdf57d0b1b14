"""What the service asks of PID 1, and what it is told: JSON, one message each, with descriptors where there are any.

{"do": "exec", "id", "argv", "env", "user", "cwd", "tty", "cols", "rows"}    and the descriptors that `beside` says
{"do": "copy", "id"}                                                          and those
{"do": "signal", "id", "number"}     a process's first one
{"do": "end", "id"}                  hang up on it, and a moment later nothing of its session is left
{"do": "stop", "signal", "grace_ms"} the payload; a signal of 0 is the run's own
{"do": "shutdown"}                   everything, at once

{"run": …}                           who this is, first of all
{"ended": id, "code": code}          a process; negative: by a signal
{"gone": id}                         and nothing of it is left
{"stopping": true}
{"over": true}                       the payload has ended: copies come to nothing, and are waited for a while
"""

import _socket
import os
import select
import struct

from guest import beside
from guest.run import Run, parsed
from sandbox import sessions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from guest.loop import Loop

MESSAGE_BYTES = 1 << 20
_FDS_BYTES = _socket.CMSG_SPACE(4 * 4)
_HANGUP_S = 1.0
_LEAVE_S = 5.0
_HANGUP, _KILL = 1, 9


class Lost(Exception):
    """Raised when the service has gone, or does not listen any more."""


class Orders:
    """PID 1's end of the socket."""

    def __init__(self, loop: "Loop", run: Run, payload: int, socket: "_socket.socket") -> None:
        self._loop = loop
        self._run = run
        self._payload = payload
        self._first = os.pidfd_open(payload)
        self._socket = socket
        self._pids: dict[int, int] = {}
        self._reaped: set[int] = set()
        self._ending: set[int] = set()
        self._over = False
        socket.setblocking(False)
        loop.watch(socket.fileno(), select.POLLIN, self._hear)

    def tell(self, said: str) -> None:
        """A message, as JSON. Raises Lost, unless nothing need be told any more."""
        if self._over:
            return
        try:
            self._socket.send(said.encode())
        except OSError as error:
            raise Lost(f"the service does not listen: {os.strerror(error.errno or 0)}") from None

    def service_ended(self, code: int) -> None:
        """The service's process has. Raises Lost, unless nothing is asked of it any more."""
        if not self._over:
            raise Lost(f"the service has ended with {code}")

    def _hear(self) -> None:
        try:
            said, with_it, _, _ = self._socket.recvmsg(MESSAGE_BYTES, _FDS_BYTES, _socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        if not said:
            raise Lost("the service has ended")
        fds = [fd for _, _, data in with_it for fd in struct.unpack(f"{len(data) // 4}i", data)]
        try:
            self._obey(parsed(said.decode()), fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _obey(self, asked: "dict[str, Any]", fds: list[int]) -> None:
        match asked["do"]:
            case "exec":
                self._started(asked["id"], beside.execute(self._run, self._first, asked, fds))
            case "copy":
                self._started(asked["id"], beside.copy(self._first, fds))
            case "signal":
                if asked["id"] not in self._reaped:
                    _signal(self._pids.get(asked["id"]), asked["number"])
            case "end":
                self._end(asked["id"])
            case "stop":
                self.stop(asked["signal"] or self._run.stop_signal, asked["grace_ms"])
            case "shutdown":
                _signal(self._payload, _KILL)
            case other:
                raise ValueError(f"the service asks for {other}")

    def _started(self, number: int, pid: int | None) -> None:
        if pid is None:
            return
        self._pids[number] = pid
        self.tell(f'{{"started": {number}, "pid": {pid}}}')

        def ended(code: int) -> None:
            self._reaped.add(number)
            self.tell(f'{{"ended": {number}, "code": {code}}}')
            if number in self._ending:
                self._forget(number)

        self._loop.process(pid, ended)

    def _end(self, number: int) -> None:
        if number in self._pids and number not in self._reaped:
            sessions.signal(self._pids[number], _HANGUP)
            self._ending.add(number)
            self._loop.after(("end", number), _HANGUP_S, lambda: self._kill(number))
        else:
            self._forget(number)

    def _kill(self, number: int) -> None:
        if number in self._pids:
            sessions.kill(self._pids[number], number in self._reaped)

    def _forget(self, number: int) -> None:
        """Its first process has been reaped, or there never was one."""
        self._kill(number)
        self._loop.forget(("end", number))
        self._pids.pop(number, None)
        self._reaped.discard(number)
        self._ending.discard(number)
        self.tell(f'{{"gone": {number}}}')

    def stop(self, number: int, grace_ms: int) -> None:
        """Ask the payload to end, and kill it after the grace."""
        self.tell('{"stopping": true}')
        _signal(self._payload, number)
        self._loop.after("stop", grace_ms / 1_000, lambda: _signal(self._payload, _KILL))

    def close(self) -> None:
        """The payload has ended. What is beside it leaves nothing half done in its file system, unless the service is
        lost: that matters no more. Nor does anything that the service does once this has returned."""
        os.close(self._first)
        late: list[bool] = []
        self._loop.after("leave", _LEAVE_S, lambda: late.append(True))
        try:
            self.tell('{"over": true}')
            while not late and self._pids.keys() - self._reaped:
                self._loop.turn()
        except Lost:
            pass
        self._over = True
        self._loop.unwatch(self._socket.fileno())


def _signal(pid: int | None, number: int) -> None:
    try:
        if pid is not None:
            os.kill(pid, number)
    except ProcessLookupError:
        pass

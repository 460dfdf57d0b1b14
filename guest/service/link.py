"""The service's end of the socket to PID 1: see guest/orders.py for what is said there."""

import itertools
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from guest.orders import MESSAGE_BYTES
from guest.service.refusals import Refusal


class Introduction(NamedTuple):
    """Whose machine this is: its run, where its host is (a port, or none: vsock), the serials of the volumes by their
    paths inside, and the directories that secrets are in."""

    name: str
    uid: int
    run: int
    port: str
    volumes: dict[str, str]
    secrets: list[str]


class Process:
    """One that PID 1 started for us. `started`, `ended` and `gone` are set in this order; `pid` is there with the
    first, `code` with the second."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.code = 0
        self.started = threading.Event()
        self.ended = threading.Event()
        self.gone = threading.Event()


class Link:
    """Says what is wanted, and hears what has become of it, in a thread of its own."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._numbers = itertools.count(1)
        self._processes: dict[int, Process] = {}
        self._lock = threading.Lock()
        self._at_end: set[Callable[[], None]] = set()
        self.stopping = False
        self.over = False
        self.introduction = Introduction(**json.loads(self._socket.recv(MESSAGE_BYTES)))

    def listen(self) -> None:
        """Until PID 1 has gone, and everything with it."""
        while said := self._socket.recv(MESSAGE_BYTES):
            self._hear(json.loads(said))

    def _hear(self, said: dict[str, Any]) -> None:
        if "stopping" in said:
            self.stopping = True
            return
        if "over" in said:
            with self._lock:
                self.over, leaving = True, tuple(self._at_end)
            for leave in leaving:
                leave()
            return
        what = next(word for word in ("started", "ended", "gone") if word in said)
        number = said[what]
        with self._lock:
            process = self._processes.get(number)
            if what == "gone":
                self._processes.pop(number, None)
        if process is not None:
            process.pid = said.get("pid", process.pid)
            process.code = said.get("code", process.code)
            getattr(process, what).set()

    def start(self, what: dict[str, Any], fds: Iterable[int]) -> Process:
        """Have a process started, and wait until it has become what it should. Raises Refusal."""
        process = Process(next(self._numbers))
        with self._lock:
            self._processes[process.number] = process
        reading, writing = os.pipe()
        try:
            try:
                self.say({**what, "id": process.number}, (*fds, writing))
            finally:
                os.close(writing)
            said = b""
            while part := os.read(reading, MESSAGE_BYTES):
                said += part
        except BaseException:
            self.forget(process)
            raise
        finally:
            os.close(reading)
        if said:
            self.forget(process)
            reason, _, message = said.decode(errors="replace").partition("\0")
            raise Refusal(reason, message)
        process.started.wait()
        return process

    def at_end(self, leave: Callable[[], None]) -> None:
        """Call this once the payload has ended, which may be at once, unless it is taken back."""
        with self._lock:
            self._at_end.add(leave)
        if self.over:
            leave()

    def not_at_end(self, leave: Callable[[], None]) -> None:
        """Take it back."""
        with self._lock:
            self._at_end.discard(leave)

    def end(self, process: Process) -> None:
        """Hang up on it; when this returns nothing of it is left."""
        self.say({"do": "end", "id": process.number})
        process.gone.wait()

    def forget(self, process: Process) -> None:
        """It never was anything: whatever there is of it ends, and nobody waits."""
        self.say({"do": "end", "id": process.number})

    def say(self, what: dict[str, Any], fds: Iterable[int] = ()) -> None:
        """An order. Raises Refusal for one that is too large to be given."""
        said = json.dumps(what).encode()
        if len(said) > MESSAGE_BYTES:
            raise Refusal("START_FAILED", "command and environment are too large together")
        socket.send_fds(self._socket, [said], list(fds))

    @property
    def alive(self) -> int:
        """How many processes there are that have not ended."""
        with self._lock:
            return sum(not process.ended.is_set() for process in self._processes.values())

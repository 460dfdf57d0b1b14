"""The daemon's event loop, with threads of its own for what blocks: enough of them, and others for names.

Python gives a loop four threads more than there are processors, and looks names up on the same ones. A DNS server that
is silent holds each lookup up for 20 to 40 seconds, whoever has given up waiting for it meanwhile: on a small machine,
one call that resolves a few images would leave no thread to anything else that the daemon does. Asking the loop is the
one way to a name that asyncio, httpx and whatever comes later have in common, so it is here that they are kept apart.
Nor does the end of the process wait for a name, which nobody wants any more by then; of a pool's threads Python would.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 64
"""A thread is only made when all that there are have work. Of what may take long, as what waits for a disk, there are
some thirty at a time: 16 starts, 9 layers of images, disks of microVMs, an update and volumes that come or go. As many
again are for what is short."""

NAMES_AT_ONCE = 32
"""A call resolves 8 names at a time, gives up after 10 seconds, and leaves its lookups behind for up to 40: so many
are under way where it is made again and again. Behind them names have to wait, and nothing else."""


class Leavable(Executor):
    """Threads for what may be left in the middle of it: they end with the process, whatever they wait for."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._threads = self._idle = 0
        self._ended = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See Executor. A thread is only made when all that there are have work."""
        future: Future[T] = Future()
        with self._changed:
            self._work.append((future, partial(fn, *args, **kwargs)))
            if len(self._work) > self._idle and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}_{self._threads}", daemon=True).start()
            self._changed.notify()
        return future

    def _run(self) -> None:
        while (following := self._following()) is not None:
            future, work = following
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def _following(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            while not self._work:
                if self._ended:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._work.popleft()

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Nothing more is begun, and nothing is waited for."""
        with self._changed:
            self._ended = True
            for future, _ in self._work:
                future.cancel()
            self._changed.notify_all()


class Loop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(THREADS, "daemon"))
        self._names = Leavable(NAMES_AT_ONCE, "names")

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """As every loop has it, on threads that do nothing else."""
        return await self.run_in_executor(
            self._names, partial(socket.getaddrinfo, host, port, family, type, proto, flags)
        )

    def close(self) -> None:
        """Also lets go of names that nobody has begun to look up."""
        super().close()
        self._names.shutdown()


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)

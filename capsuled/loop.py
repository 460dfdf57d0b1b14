"""The daemon's event loop, with threads of its own for what blocks: enough of them, and others for names.

Python gives a loop four threads more than there are processors, and looks names up on the same ones. A DNS server that
is silent holds each lookup up for 20 to 40 seconds, whoever has given up waiting for it meanwhile: on a small machine,
one call that resolves a few images would leave no thread to anything else that the daemon does. Asking the loop is the
one way to a name that asyncio, httpx and whatever comes later have in common, so it is here that they are kept apart.
"""

import asyncio
import socket
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

THREADS = 64
"""A thread is only made when all that there are have work. Of what may take long, as what waits for a disk, there are
some thirty at a time: 16 starts, 9 layers of images, disks of microVMs, an update and volumes that come or go. As many
again are for what is short."""

NAMES_AT_ONCE = 32
"""A call resolves 8 names at a time, gives up after 10 seconds, and leaves its lookups behind for up to 40: so many
are under way where it is made again and again. Behind them names have to wait, and nothing else."""


class Loop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(THREADS, "daemon"))
        self._names = ThreadPoolExecutor(NAMES_AT_ONCE, "names")

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
        self._names.shutdown(wait=False, cancel_futures=True)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)

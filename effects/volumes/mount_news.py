"""The kernel's own news of mounts: whoever waits for them looks, and need not poll.

Source: proc(5), mountinfo: the file is readable at all times, and has an exceptional condition after each change.
"""

import asyncio
import os
import select
from collections.abc import AsyncIterator

QUIET_S = 0.2
"""A burst of changes is one piece of news."""


async def mount_news() -> AsyncIterator[None]:
    """One item after each burst of changes in this process's mount namespace, until cancelled."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    # An event loop waits for what can be read; a poll of its own, which can be read once it has something, does not.
    poll = select.epoll()
    try:
        poll.register(table, select.EPOLLPRI)
        loop.add_reader(poll.fileno(), _taken, poll, woken)
        while True:
            await woken.wait()
            await asyncio.sleep(QUIET_S)
            woken.clear()
            yield
    finally:
        loop.remove_reader(poll.fileno())
        poll.close()
        os.close(table)


def _taken(poll: select.epoll, woken: asyncio.Event) -> None:
    """Asking is what takes the news."""
    poll.poll(0)
    woken.set()

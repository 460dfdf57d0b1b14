"""The kernel's own news of links, addresses and tables: whoever waits for them looks, and need not poll."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

QUIET_S = 0.2
"""A burst of changes is one piece of news."""


class Topic(msgspec.Struct, frozen=True):
    """A netlink protocol's number, and the mask of one of its multicast groups."""

    protocol: int
    groups: int


TABLES = Topic(12, 1 << 6)  # NETLINK_NETFILTER, NFNLGRP_NFTABLES
LINKS = Topic(socket.NETLINK_ROUTE, 1 << 0)  # RTMGRP_LINK
ADDRESSES = Topic(socket.NETLINK_ROUTE, 1 << 4)  # RTMGRP_IPV4_IFADDR
SETTINGS = Topic(socket.NETLINK_ROUTE, 1 << 23)  # RTNLGRP_IPV4_NETCONF: of a link's IPv4, forwarding among them
ROUTES = Topic(socket.NETLINK_ROUTE, 1 << 6)  # RTMGRP_IPV4_ROUTE


async def _at_once() -> None:
    return None


async def kernel_news(*topics: Topic, rested: Callable[[], Awaitable[None]] = _at_once) -> AsyncIterator[None]:
    """One item after each burst of changes, until cancelled. What comes until `rested` returns is of the same burst.

    Raises OSError where the kernel tells nothing.
    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    sockets: list[socket.socket] = []
    try:
        for topic in topics:
            sockets.append(_listen(topic))
            loop.add_reader(sockets[-1], _drain, sockets[-1], woken)
        while True:
            await woken.wait()
            await asyncio.sleep(QUIET_S)
            await rested()
            woken.clear()
            yield
    finally:
        for one in sockets:
            loop.remove_reader(one)
            one.close()


def _listen(topic: Topic) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_NETLINK, kind, topic.protocol)
    made.bind((0, topic.groups))
    return made


def _drain(listener: Any, woken: asyncio.Event) -> None:
    """What the news says does not matter: whoever is woken looks."""
    while True:
        try:
            listener.recv(1 << 16)
        except BlockingIOError:
            break
        except OSError:
            continue  # an overrun: something was missed, so look all the more
    woken.set()

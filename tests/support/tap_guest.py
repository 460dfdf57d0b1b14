"""A guest on a TAP, without a virtual machine: a network namespace whose interface is cabled to it, frame by frame."""

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2.iproute.linux import IPRoute

from effects.network import namespaces, taps
from effects.network.links import hardware
from effects.network.namespaces import Inside

_TUNSETIFF = 0x400454CA
_TAP_WITH_HEADER = 0x0002 | 0x1000 | 0x4000


@contextmanager
def guest(port: str, path: Path, address: str, gateway: str) -> Iterator[None]:
    """The namespace at `path` has this address on the TAP called `port`, as a virtual machine's guest would. Only on a
    thread that is no event loop's."""
    namespaces.make(path)
    monitor = taps.opened(port)
    try:
        with Inside(path), IPRoute() as inside:
            card = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(card, _TUNSETIFF, struct.pack("16sH22x", b"eth0", _TAP_WITH_HEADER))
            index = inside.link_lookup(ifname="eth0")[0]
            inside.link("set", index=index, address=hardware(address))
            inside.addr("add", index=index, address=address, prefixlen=24)
            inside.link("set", index=index, state="up")
            inside.route("add", dst="default", gateway=gateway)
        stop, stopping = os.pipe()
        cable = threading.Thread(target=_cable, args=(monitor, card, stop))
        cable.start()
        try:
            yield
        finally:
            os.close(stopping)
            cable.join()
            os.close(stop)
            os.close(card)
    finally:
        os.close(monitor)
        namespaces.remove(path)


def _cable(one: int, other: int, stop: int) -> None:
    import select

    while True:
        ready, _, _ = select.select((one, other, stop), (), ())
        if stop in ready:
            return
        for fd in ready:
            os.write(other if fd == one else one, os.read(fd, 1 << 17))


@contextmanager
def answering(word: str, port: int, namespace: Path) -> Iterator[None]:
    """Something in the namespace answers with a word there."""
    with Inside(namespace):
        listener = socket.create_server(("0.0.0.0", port))

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller:
                caller.sendall(word.encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def heard(address: str, port: int, namespace: Path | None = None) -> str:
    """What answers there, asked from a namespace, or from the machine."""
    if namespace is None:
        caller = socket.socket()
    else:
        with Inside(namespace):
            caller = socket.socket()
    with caller:
        caller.settimeout(10)
        caller.connect((address, port))
        return caller.recv(64).decode()

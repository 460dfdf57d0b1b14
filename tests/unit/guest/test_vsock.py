"""Who is let in where the host comes by vsock."""

import os
import socket

from channel.vsock import RESERVED
from guest.service.relay import of_hosts_root

HOST, ANOTHER_GUEST = socket.VMADDR_CID_HOST, 77


class Listener:
    """Hands out connections with these sources, one after another; `theirs` are the other ends."""

    def __init__(self, *sources: tuple[int, int]) -> None:
        self._sources = iter(sources)
        self.theirs: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, tuple[int, int]]:
        ours, theirs = socket.socketpair()
        self.theirs.append(theirs)
        return ours, next(self._sources)


def test_only_root_of_the_host_is_let_in() -> None:
    listener = Listener((HOST, RESERVED), (ANOTHER_GUEST, RESERVED - 1), (HOST, 50_000), (HOST, RESERVED - 1))
    stream = of_hosts_root(listener)()  # type: ignore[arg-type]
    try:
        user, guest, another_user, root = listener.theirs
        assert [one.recv(1) for one in (user, guest, another_user)] == [b"", b"", b""]
        os.write(stream, b"x")
        assert root.recv(1) == b"x"
    finally:
        os.close(stream)
        for one in listener.theirs:
            one.close()

"""A server of the time, whose clock is ahead of ours."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_TO_UNIX_S = 2_208_988_800
_PORT = 123
_LOOK_S = 0.5


def answer_to(data: bytes, at_s: float, stratum: int = 2, first: int = 0x24) -> bytes:
    """As a server whose clock says `at_s` would answer."""
    stamp = struct.pack("!II", int(at_s) + _TO_UNIX_S & 0xFFFFFFFF, int(at_s % 1 * (1 << 32)))
    return struct.pack("!BBBb", first, stratum, 0, 0) + bytes(20) + data[40:48] + stamp + stamp


@contextmanager
def time_server(ahead_s: float) -> Iterator[None]:
    """On loopback, where a virtual machine's gateway leads to."""
    over = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind(("127.0.0.1", _PORT))
        except OSError as error:
            raise SystemExit(
                f"port {_PORT} of 127.0.0.1 cannot be had for a server of the time: {error.strerror}"
            ) from error
        server.settimeout(_LOOK_S)
        telling = threading.Thread(target=_tell, args=(server, ahead_s, over))
        telling.start()
        try:
            yield
        finally:
            over.set()
            telling.join()


def _tell(server: socket.socket, ahead_s: float, over: threading.Event) -> None:
    while not over.is_set():
        try:
            asked, address = server.recvfrom(1024)
        except TimeoutError:
            continue
        server.sendto(answer_to(asked, time.time() + ahead_s), address)

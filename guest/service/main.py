"""The service's process: the socket to PID 1, the server, and the relay to the host. The end of one is that of all."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from capsule.guest.v1.guest_pb2_grpc import add_GuestServiceServicer_to_server
from guest.mounts import SMALL_BYTES
from guest.service import relay
from guest.service.link import Link
from guest.service.servicer import LONG_CALLS, Servicer

_SOCKET = "/run/agent.sock"
_RELEASE = Path("/run/service/release")
_MESSAGE_BYTES = SMALL_BYTES + (1 << 20)
"""The largest is a rotation of all secrets that a run can have, with their paths. The daemon is trusted with it."""
_SHORT_CALLS = 16
"""Threads for what is answered soon, beside those that execs and copies may hold."""


def main(fd: int) -> None:
    """Serve until PID 1 has gone."""
    os.set_inheritable(fd, False)
    link = Link(fd)
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(LONG_CALLS + _SHORT_CALLS), options=options)
    add_GuestServiceServicer_to_server(Servicer(link, _RELEASE.read_text().strip()), server)
    server.add_insecure_port(f"unix:{_SOCKET}")
    server.start()
    port = link.introduction.port
    carrier = relay.port(port) if port else relay.vsock()
    _beside(link.listen)
    _run(lambda: relay.serve(carrier, _SOCKET))


def _beside(what: Callable[[], None]) -> None:
    threading.Thread(target=_run, args=(what,), daemon=True).start()


def _run(what: Callable[[], None]) -> None:
    """None of what runs here ever ends by itself."""
    try:
        what()
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    os._exit(1)

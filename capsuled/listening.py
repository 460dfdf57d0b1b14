"""The servers behind the two doors: a unix socket for this machine, TLS for the network; and what a client may cost.

They are two servers, not two ports of one, so that whoever fills the network's limits leaves the socket free.
"""

import logging
import os
from pathlib import Path

import grpc

from capsuled.addresses import Listen
from capsuled.doors import Interceptor
from capsuled.tls import Certificate, server_credentials

log = logging.getLogger(__name__)

MESSAGE_BYTES = 4 << 20
"""Chunks of clients are 1 MiB at most, and answers stay below this."""

METADATA_BYTES = 16 << 10
STREAMS = 128
CONNECTIONS = 256
CALLS = 1_024
"""Of one connection, of the network, and of the network in all."""

HANDSHAKE_MS = 10_000
"""For the TLS handshake and HTTP/2's first settings: a client that says nothing goes."""

IDLE_MS = 15 * 60_000
"""A connection without a call for so long is closed; clients open another without anybody noticing."""

PING_MS = 60_000
PING_TIMEOUT_MS = 20_000
"""A client whose machine is gone holds its streams no longer than this."""

Options = list[tuple[str, int]]

_BOTH: Options = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # Clients in the field ping every 15 s, with and without calls in flight. (The header calls this option
    # MIN_RECV_PING_INTERVAL; its name does not.)
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]
_NETWORK: Options = [
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES),
    ("grpc.max_concurrent_streams", STREAMS),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.max_connection_idle_ms", IDLE_MS),
    ("grpc.keepalive_time_ms", PING_MS),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
    # Two daemons on one port would each get half of the connections.
    ("grpc.so_reuseport", 0),
]


class CannotListen(OSError):
    """Raised when an address that was asked for cannot be had."""


def local_server(interceptor: Interceptor) -> grpc.aio.Server:
    """The server of the unix socket; see `bind_socket`."""
    return grpc.aio.server(interceptors=[interceptor], options=_BOTH)


def network_server(interceptor: Interceptor) -> grpc.aio.Server:
    """The server of the network; see `bind_tls`."""
    return grpc.aio.server(interceptors=[interceptor], options=_BOTH + _NETWORK, maximum_concurrent_rpcs=CALLS)


def bind_socket(server: grpc.aio.Server, socket: Path, link: Path) -> None:
    """Listen at `socket`, and let `link` lead there. The journal's lock is held: what is there is a dead daemon's."""
    socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{socket}")
    finally:
        os.umask(before)
    if link.is_symlink() and link.readlink() == socket:
        return
    scratch = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        scratch.symlink_to(socket)
        scratch.replace(link)
    except OSError as error:
        log.warning("%s cannot be made (%s): clients of this machine find the socket at %s", link, error, socket)


def bind_tls(server: grpc.aio.Server, listen: Listen, certificate: Certificate) -> tuple[str, ...]:
    """Listen; returns the addresses with the ports that were got. Raises CannotListen for one that was asked for."""
    credentials = server_credentials(certificate)
    bound: list[str] = []
    for address in listen.addresses:
        host, _, _ = address.rpartition(":")
        try:
            bound.append(f"{host}:{server.add_secure_port(address, credentials)}")
        except RuntimeError:
            what = "cannot be listened on: it is in use, or is none of this machine's addresses"
            if listen.asked:
                raise CannotListen(0, what + ". Choose another with --listen", address) from None
            log.warning("%s %s. Serving on the socket alone; choose an address with --listen", address, what)
    return tuple(bound)

"""The servers behind the two doors: a unix socket for this machine, TLS for the network.

They are two servers, not two ports of one, so that whoever fills the network's limits leaves the socket free.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from capsuled.addresses import Listen
from capsuled.limits import Limits, Options
from capsuled.shortening import MESSAGE_BYTES
from capsuled.tls import Certificate, server_credentials

if TYPE_CHECKING:
    Door = grpc.GenericRpcHandler[Any, Any]
    """What every call comes through, as capsuled/interceptor.py is."""

log = logging.getLogger(__name__)

_BOTH: Options = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # Clients in the field ping every 15 s, with and without calls in flight. (The header calls this option
    # MIN_RECV_PING_INTERVAL; its name does not.)
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class CannotListen(OSError):
    """Raised when an address that was asked for cannot be had."""


def local_server(door: "Door", limits: Limits) -> grpc.aio.Server:
    """The server of the unix socket, where of the `limits` only pings are; see `bind_socket`."""
    return grpc.aio.server(handlers=[door], options=_BOTH + limits.pings())


def network_server(door: "Door", limits: Limits) -> grpc.aio.Server:
    """The server of the network; see `bind_tls`."""
    options = _BOTH + limits.options()
    return grpc.aio.server(handlers=[door], options=options, maximum_concurrent_rpcs=limits.calls)


def bind_socket(server: grpc.aio.Server, path: Path, link: Path) -> None:
    """Listen at `path`, and let `link` lead there. The journal's lock is held: what is there is a dead daemon's."""
    # Nobody else's from the first moment on, by its directory: a umask is the whole process's, and what is started in
    # that moment, as containerd is, would make its directories with it.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{path}")
    path.chmod(0o600)
    if link.is_symlink() and link.readlink() == path:
        return
    scratch = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        scratch.symlink_to(path)
        scratch.replace(link)
    except OSError as error:
        log.warning("%s cannot be made (%s): clients of this machine find the socket at %s", link, error, path)


def bind_tls(
    server: grpc.aio.Server,
    listen: Listen,
    certificate: Certificate,
    warn: Callable[[str], None],
    came: Callable[[], None] = lambda: None,
) -> tuple[str, ...]:
    """Listen; returns the addresses with the ports that were got. Raises CannotListen for one that was asked for; of
    the default one `warn` is told. `came` as in tls.py."""
    credentials = server_credentials(certificate, came)
    bound: list[str] = []
    for address in listen.addresses:
        host, _, _ = address.rpartition(":")
        try:
            bound.append(f"{host}:{server.add_secure_port(address, credentials)}")
        except RuntimeError:
            what = f"cannot be listened on: {obstacle(address)}"
            if listen.asked:
                raise CannotListen(0, f"{what}, or choose another address with --listen", address) from None
            warn(f"{address} {what}, or choose an address with --listen, and start again: the socket alone is served")
    return tuple(bound)


def obstacle(address: str) -> str:
    """Why gRPC, which does not say, could not listen, and what helps."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(where)
            trying.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"another program does already; end it (`ss -ltnp 'sport = :{port}'` names it)"
        if error.errno == errno.EADDRNOTAVAIL:
            return "it is none of this machine's addresses (`ip address` lists them); give it to the machine first"
        return f"{error.strerror}; see to that"
    return "another program did until a moment ago; start again"

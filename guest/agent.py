"""Starts the service, a process of its own with an interpreter of its own: what it imports, and what it holds, is not
in PID 1. Its end, before the payload's, is a fault: nobody could speak with the machine any more."""

import _json
import _socket
import os
import sys

from guest import boot, devices, kernel, payload
from guest.beside import FOUND
from guest.mounts import secret_directories
from guest.orders import MESSAGE_BYTES, Orders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guest.loop import Loop
    from guest.run import Run

ROOT = "/run/service"
_MAIN = f"{FOUND}; from guest.service.main import main; main(int(sys.argv[1]))"
_ENVIRONMENT = {"LD_LIBRARY_PATH": f"{ROOT}/native", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "upb"}
"""The other implementation of protobuf is ten times slower, and would be taken without a word."""
_SNDBUFFORCE = 32
_CONSOLE = 2


def start(loop: "Loop", run: "Run", disks: dict[str, str], first: int) -> Orders:
    """Start it beside a payload whose process is `first`; what is to be done for it. Raises OSError."""
    boot.load(boot.LATER)
    os.mkdir(ROOT)
    kernel.mount("squashfs", boot.disk(disks, "guest"), ROOT, kernel.RDONLY | kernel.NOSUID | kernel.NODEV)
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    theirs.setsockopt(_socket.SOL_SOCKET, _SNDBUFFORCE, 2 * MESSAGE_BYTES)

    def become() -> None:
        os.set_inheritable(theirs.fileno(), True)
        argv = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _MAIN, str(theirs.fileno())]
        os.execve(sys.executable, argv, _ENVIRONMENT)

    service = payload.fork(become, _CONSOLE)
    theirs.close()
    orders = Orders(loop, run, first, ours)
    loop.process(service, orders.service_ended)
    orders.tell(introduction(run, devices.ports(()).get(boot.AGENT, "")))
    return orders


def introduction(run: "Run", port: str) -> str:
    """What the service has to know, as JSON: whose machine this is, and where its host is; without a port, by vsock."""
    text = _json.encode_basestring_ascii
    volumes = ", ".join(f"{text(one['path'])}: {text(one['serial'])}" for one in run.mounts)
    secrets = ", ".join(text(directory) for directory in secret_directories(run))
    return (
        f'{{"name": {text(run.name)}, "uid": {run.uid}, "run": {run.run}, "port": {text(port)}, '
        f'"volumes": {{{volumes}}}, "secrets": [{secrets}]}}'
    )

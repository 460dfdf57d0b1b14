"""Reading the kernel's tables of sockets: who waits for whoever comes, and where."""

import asyncio
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from capsuled.host_network import API, NAMES, HostPorts, listeners
from journal.specs import PortMapping
from projections.host_network import Listener
from tests.support.story import Story, declared

GATEWAY = "172.20.254.1"
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0"


def port_of(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("kind", "family", "address", "met"),
    [
        (socket.SOCK_STREAM, socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.SOCK_STREAM, socket.AF_INET, "0.0.0.0", ""),
        (socket.SOCK_STREAM, socket.AF_INET6, "::", ""),
        (socket.SOCK_STREAM, socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
        (socket.SOCK_STREAM, socket.AF_INET6, "::1", None),
        (socket.SOCK_DGRAM, socket.AF_INET, "127.0.0.2", "127.0.0.2"),
    ],
)
def test_a_socket_that_waits_is_seen_with_its_address(
    kind: socket.SocketKind, family: socket.AddressFamily, address: str, met: str | None
) -> None:
    with socket.socket(family, kind) as waiting:
        try:
            waiting.bind((address, 0))
        except OSError:
            if family is socket.AF_INET:
                raise
            pytest.skip("this machine has no IPv6")
        if kind is socket.SOCK_STREAM:
            waiting.listen(1)
        port, protocol = port_of(waiting), "tcp" if kind is socket.SOCK_STREAM else "udp"
        found = [one for one in listeners() if (one.port, one.protocol) == (port, protocol)]
        assert found == ([] if met is None else [Listener(protocol, port, met)])


def test_what_only_talks_is_in_nobodys_way() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.connect(server.getsockname())
        talking = {Listener(*one, "127.0.0.1") for one in (("tcp", port_of(tcp)), ("udp", port_of(udp)))}
        waiting = set(listeners())
        assert Listener("tcp", port_of(server), "127.0.0.1") in waiting and not talking & waiting


def test_the_daemons_own_ports_are_known_by_name_also_while_nobody_listens_there(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(f"{HEAD}   0: 00000000:C350 00000000:0000 0A {REST}\n")
    look = asyncio.run(HostPorts(lambda: ("0.0.0.0:50000", "[::1]:50000"), GATEWAY, tmp_path).look())
    assert look.listeners == (
        Listener("tcp", 50_000, "", API),
        Listener("tcp", 53, GATEWAY, NAMES),
        Listener("udp", 53, GATEWAY, NAMES),
    )
    assert look.has("127.0.0.1") and look.has(GATEWAY) and not look.has("192.0.2.99")


def test_a_workload_that_has_the_apis_port_by_now_is_warned_of(tmp_path: Path) -> None:
    story = Story()
    one = declared("web")
    story.apply(replace(one, spec=replace(one.spec, network="bridge", ports=(PortMapping(80, 50_001),))))
    warned = HostPorts(lambda: ("192.0.2.7:50001",), GATEWAY, tmp_path).warnings(story.machine)
    assert len(warned) == 1 and "web has host port 50001/tcp" in warned[0] and API in warned[0]
    assert HostPorts(lambda: ("192.0.2.7:50000",), GATEWAY, tmp_path).warnings(story.machine) == ()

"""Reading the kernel's tables of sockets: who waits for whoever comes, and where."""

import asyncio
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from capsuled import host_network
from capsuled.host_network import API, NAMES, HostPorts, listeners
from journal.specs import PortMapping
from projections.host_network import Listener
from projections.intents import Stop
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


def warned_of(served: str, port: PortMapping, *, stopped: bool = False) -> tuple[str, ...]:
    """What is told of a workload that has the port."""
    story = Story()
    one = declared("web")
    story.apply(replace(one, spec=replace(one.spec, network="bridge", ports=(port,))))
    if stopped:
        story.call(Stop("web"))
    return asyncio.run(HostPorts(lambda: (served,), GATEWAY).warnings(story.machine))


def test_a_workload_that_has_the_apis_port_by_now_is_warned_of() -> None:
    warned = warned_of("192.0.2.7:50001", PortMapping(80, 50_001))
    assert len(warned) == 1 and "web has host port 50001/tcp" in warned[0] and API in warned[0]
    assert warned_of("192.0.2.7:50000", PortMapping(80, 50_001)) == ()


def test_a_port_on_an_address_that_the_machine_has_no_more_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_network, "addresses", lambda: ("127.0.0.1", "192.0.2.11"))
    gone = PortMapping(80, 8_080, host_address="192.0.2.10")
    assert warned_of("0.0.0.0:50000", gone) == (
        "web's host port 8080/tcp cannot be reached: it is on 192.0.2.10, which this machine does not have any more. It "
        f"has 127.0.0.1, 192.0.2.11, {GATEWAY}: apply web with one of these as the port's hostAddress, or with none, and "
        "it is on all of them",
    )
    assert warned_of("0.0.0.0:50000", gone, stopped=True) == (), "it has no rules either"
    for there in ("", "192.0.2.11", "127.0.0.7", GATEWAY):
        assert warned_of("0.0.0.0:50000", replace(gone, host_address=there)) == (), there

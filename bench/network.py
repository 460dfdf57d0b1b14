"""The bridge: a start until its host port answers, round trips through a port and to a name (two hundred: crowd.py).

All of it on a machine of its own (tests/support/site.py), so that neither this machine's rules nor podman's own bridge
there are touched. podman publishes the port with the same image and program; one idle workload keeps our bridge, as
podman keeps its own.
"""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.client import Client
from bench.peers import IMAGE, Podman, fresh, podman
from bench.report import Row, in_turn, row
from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from tests.support.daemon import Daemon, daemon
from tests.support.site import Site, site
from tools.demo_image import archive

ROUNDS = 9
TRIPS = 2_000
GATEWAY = "172.20.254.1"
WEB = ("sh", "-c", "echo here > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
ECHO = ("nc", "-ll", "-p", "7", "-e", "cat")
SLEEP = ("sleep", "1000000")
ANSWER_S = 30.0

_ECHO_DATAGRAMS = """
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("172.20.254.1", 5354))
print("ready", flush=True)
while True:
    data, peer = one.recvfrom(4096)
    one.sendto(data, peer)
"""
_ASK = """
import socket, statistics, struct, sys, time
port, trips = int(sys.argv[1]), int(sys.argv[2])
header, kind = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0), struct.pack(">HH", 1, 1)
question = header + b"\\x05" + b"state" + b"\\x07capsule\\0" + kind
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect(("172.20.254.1", port))
one.settimeout(2)
taken = []
for _ in range(trips):
    begun = time.perf_counter()
    one.send(question)
    answer = one.recv(4096)
    taken.append(time.perf_counter() - begun)
assert answer[:2] == question[:2]
print(statistics.median(taken) * 1e6)
"""


def bridged(name: str, program: tuple[str, ...], host_port: int = 0, port: int = 0) -> pb.Workload:
    """A container on the bridge."""
    ports = [pb.PortMapping(container_port=port, host_port=host_port)] if port else []
    spec = pb.ContainerSpec(
        image="demo:1", command=program, ports=ports, network_mode=pb.NETWORK_MODE_BRIDGE, stop_grace_seconds=0,
        restart=pb.RESTART_MODE_NEVER,
    )  # fmt: skip
    return pb.Workload(name=name, kind=pb.WORKLOAD_KIND_CONTAINER, container=spec)


def rows(directory: Path) -> list[Row]:
    """Every figure of the network."""
    with site() as place:
        return place.on_thread(lambda: _rows(directory, place))


def _rows(directory: Path, place: Site) -> list[Row]:
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    # What podman's plugins keep is their machine's, and this is another.
    place.good("sh", "-c", "for one in /var/lib/cni /run/netns; do mkdir -p $one; mount -t tmpfs tmpfs $one; done")
    with daemon() as machine, Client(machine.state / "capsule.sock") as client, podman(directory, image) as pod:
        machine.good("image", "push", str(image))
        client.run([bridged("state", SLEEP)])
        return [_start(client, pod), _port(client, machine), _name(machine)]


# --- starts ------------------------------------------------------------------------------------------------------


def until_it_answers(port: int) -> None:
    """A whole answer from a web server behind a host port."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            # Short: a first packet that came too early is sent again only after a second.
            with socket.create_connection(("127.0.0.1", port), timeout=0.02) as stream:
                stream.settimeout(2)
                stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
                if b"here" in b"".join(iter(lambda: stream.recv(4096), b"")):
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"nothing answers on {port}"
        time.sleep(0.001)


def started(client: Client) -> float:
    """Milliseconds from Apply to an answer of the mapped port."""
    name, port = fresh("ours"), 8080
    begun = time.perf_counter()
    client.machine.ApplyAll(machine_pb2.ApplyAllRequest(workloads=[bridged(name, WEB, port, 80)]))
    until_it_answers(port)
    taken = time.perf_counter() - begun
    client.delete([name])
    return taken * 1e3


def _start(client: Client, pod: Podman) -> Row:
    def theirs() -> float:
        name = fresh("pod")
        begun = time.perf_counter()
        pod.publish(name, "8081:80", WEB)
        until_it_answers(8081)
        taken = time.perf_counter() - begun
        pod.remove(name)
        return taken * 1e3

    started(client)
    theirs()
    ours, pods = in_turn(ROUNDS, lambda: started(client), theirs)
    note = "Apply to the mapped port's answer; podman on CNI's bridge and portmap"
    return row("bridge.start", ours, "ms", "podman run -d -p", pods, "<=0.8", note)


# --- round trips -------------------------------------------------------------------------------------------------


def _trips(stream: socket.socket) -> float:
    """Median microseconds of a small message there and back."""
    taken = []
    for _ in range(TRIPS):
        begun = time.perf_counter()
        stream.sendall(b"there and back again")
        stream.recv(64)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1e6


@contextmanager
def _stream(address: str, port: int) -> Iterator[socket.socket]:
    with socket.create_connection((address, port), timeout=5) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield made


def _port(client: Client, machine: Daemon) -> Row:
    client.run([bridged("echo", ECHO, 7007, 7)])
    address = str(machine.status("echo")["address"])
    machine.until(lambda: _answers(address, 7), "the echo listens")
    with _stream(GATEWAY, 7007) as mapped, _stream(address, 7) as direct:
        ours, peer = in_turn(ROUNDS, lambda: _trips(mapped), lambda: _trips(direct))
    client.delete(["echo"])
    return row("port.rtt", ours, "µs", "direct", peer, "<=1.15", "20 bytes over TCP, to the container's own address")


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def _name(machine: Daemon) -> Row:
    """Both asked from inside a workload's namespace."""
    echo = subprocess.Popen([sys.executable, "-c", _ECHO_DATAGRAMS], stdout=subprocess.PIPE, text=True)
    assert echo.stdout is not None and echo.stdout.readline() == "ready\n"
    inside = ("nsenter", f"--net={machine.namespace('state')}", "--", sys.executable, "-c", _ASK)

    def asked(port: int) -> float:
        return float(subprocess.run([*inside, str(port), str(TRIPS)], check=True, capture_output=True).stdout)

    try:
        ours, peer = in_turn(ROUNDS, lambda: asked(53), lambda: asked(5354))
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()
    return row("dns.rtt", ours, "µs", "UDP echo on the bridge", peer, "<=3", "state.capsule, from inside a workload")

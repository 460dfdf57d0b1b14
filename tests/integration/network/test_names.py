"""Names for real: workloads that ask the bridge, which asks a server of the test's own for what it does not know."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.network.test_ports import address_of, fetch, web
from tests.support.daemon import Daemon, daemon
from tests.support.programs import running
from tests.support.site import Site, site

pytestmark = pytest.mark.real

GATEWAY = "172.20.254.1"
KNOWING, REFUSING = "192.0.2.2", "192.0.2.3"
UPSTREAM = """
import socket, struct, sys, threading
import dns.message, dns.rcode, dns.rrset

own, kind = sys.argv[1:]

def answer(wire):
    asked = dns.message.from_wire(wire)
    made = dns.message.make_response(asked)
    name = asked.question[0].name.to_text()
    if kind == "refusing" or name == "refused.example.":
        made.set_rcode(dns.rcode.REFUSED)
    elif name == "there.example.":
        made.answer.append(dns.rrset.from_text("there.example.", 9, "IN", "A", "198.51.100.7"))
    return made.to_wire()

def streams():
    while True:
        stream, _ = listener.accept()
        with stream:
            size = struct.unpack(">H", stream.recv(2, socket.MSG_WAITALL))[0]
            told = answer(stream.recv(size, socket.MSG_WAITALL))
            stream.sendall(struct.pack(">H", len(told)) + told)

listener = socket.create_server((own, 53))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind((own, 53))
threading.Thread(target=streams, daemon=True).start()
print("ready", flush=True)
while True:
    wire, peer = datagrams.recvfrom(4096)
    datagrams.sendto(answer(wire), peer)
"""
ASK = """
import sys, dns.message, dns.query
how, name, server = sys.argv[1:]
answer = getattr(dns.query, how)(dns.message.make_query(name, "A"), server, timeout=2)
print(*(str(one) for each in answer.answer for one in each) if answer.answer else [answer.rcode().name])
"""


@contextmanager
def serving(place: Site) -> Iterator[None]:
    """A name server that knows one name, on the other side of the cable, and before it one that knows nothing."""
    with ExitStack() as stack:
        for address, kind in ((KNOWING, "knowing"), (REFUSING, "refusing")):
            command = [*place.inside, sys.executable, "-c", UPSTREAM, address, kind]
            server = stack.enter_context(running(command, stdout=subprocess.PIPE, text=True))
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site() as made, site() as neighbour:
        made.join(neighbour, "192.0.2.1/24", f"{KNOWING}/24")
        neighbour.good("ip", "route", "add", "172.20.254.0/24", "via", "192.0.2.1")
        resolv: Path = tmp_path_factory.mktemp("etc") / "resolv.conf"
        neighbour.good("ip", "address", "add", f"{REFUSING}/32", "dev", "lo")
        resolv.write_text(f"search lan.example\nnameserver {REFUSING}\nnameserver {KNOWING}\n")
        made.good("mount", "--bind", str(resolv), "/etc/resolv.conf")
        made.neighbour = neighbour  # type: ignore[attr-defined]
        with serving(neighbour):
            yield made


@pytest.fixture(scope="module")
def capsule(machine: Site) -> Iterator[Daemon]:
    with daemon(inside=machine.inside) as made:
        made.push_image()
        made.apply(web("db"), "--wait")
        made.apply(web("web"), "--wait")
        yield made


def look_up(capsule: Daemon, name: str) -> str:
    return capsule.ctl("exec", "web", "--", "nslookup", name).stdout


def ask(place: Site, how: str, name: str) -> "subprocess.CompletedProcess[str]":
    return place.run(sys.executable, "-c", ASK, how, name, GATEWAY)


def test_a_workload_finds_another_by_its_name_alone(capsule: Daemon) -> None:
    address = address_of(capsule, "db")
    assert f"Address: {address}" in look_up(capsule, "db.capsule")
    script = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 db 80"
    assert capsule.good("exec", "web", "--", "sh", "-c", script).splitlines()[-1] == "db"
    assert "name = db.capsule" in look_up(capsule, address)


def test_a_workload_knows_its_own_name_the_zone_and_the_machines_domain(capsule: Daemon) -> None:
    files = capsule.good("exec", "web", "--", "cat", "/etc/hosts", "/etc/resolv.conf").splitlines()
    assert f"{address_of(capsule, 'web')}\tweb" in files
    assert files[-2:] == [f"nameserver {GATEWAY}", "search capsule lan.example"]


def test_other_names_are_the_machines_servers_to_answer(machine: Site, capsule: Daemon) -> None:
    assert "Address: 198.51.100.7" in look_up(capsule, "there.example")
    assert (found := ask(machine, "udp", "there.example")).stdout == "198.51.100.7\n", found.stderr
    assert ask(machine, "tcp", "there.example").stdout == "198.51.100.7\n"
    assert ask(machine, "tcp", "db").stdout == f"{address_of(capsule, 'db')}\n"


@pytest.mark.parametrize("how", ["udp", "tcp"])
def test_what_all_servers_refuse_is_refused(machine: Site, capsule: Daemon, how: str) -> None:
    """Where one of them knew more, it was asked: the first one of this machine refuses everything."""
    assert ask(machine, how, "refused.example").stdout == "REFUSED\n"


@pytest.mark.parametrize("how", ["udp", "tcp"])
def test_who_is_not_on_the_bridge_is_not_answered(machine: Site, capsule: Daemon, how: str) -> None:
    assert ask(machine, how, "db").returncode == 0
    refused = ask(machine.neighbour, how, "db")  # type: ignore[attr-defined]
    assert (refused.returncode, refused.stdout) == (1, "")
    assert any(word in refused.stderr for word in ("Timeout", "EOFError", "ConnectionResetError")), refused.stderr


def test_the_example_on_the_bridge_does_what_it_says(machine: Site, capsule: Daemon) -> None:
    capsule.apply(Path("examples/bridged.yaml").read_text(), "--wait")
    capsule.until(lambda: "Capsule remembers" in capsule.good("logs", "visitor"), "the visitor finds the site by name")
    assert "Capsule remembers" in fetch(machine, "127.0.0.1", 18081)
    capsule.good("delete", "site", "visitor", "--yes")


def test_names_are_there_again_with_the_daemon(machine: Site, capsule: Daemon) -> None:
    capsule.kill()
    assert ask(machine, "udp", "db").returncode == 1, "nobody is there"
    capsule.start()
    capsule.until(lambda: ask(machine, "udp", "db").stdout == f"{address_of(capsule, 'db')}\n", "it serves again")


def test_a_taken_port_is_told_until_it_is_free(machine: Site, capsule: Daemon) -> None:
    capsule.good("delete", "web", "db", "--yes")
    taken = "import socket; one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.bind(('', 53)); print('ready', flush=True); input()"
    with running(
        [*machine.inside, "/usr/bin/python3", "-c", taken], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        capsule.apply(web("late"), "--wait")
        capsule.until(lambda: "172.20.254.1:53 cannot be served" in capsule.ctl("capsule", "info").stderr, "it is told")
        other.communicate("\n")
    capsule.until(lambda: "cannot be served" not in capsule.ctl("capsule", "info").stderr, "it serves by itself")
    assert ask(machine, "udp", "late").stdout == f"{address_of(capsule, 'late')}\n"
    capsule.good("delete", "late", "--yes")

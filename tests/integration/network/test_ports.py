"""The bridge for real: daemons on machines of their own, reached from everywhere a port must answer."""

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial

import pytest

from tests.support.daemon import Daemon, daemon
from tests.support.programs import running
from tests.support.site import Site, site

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def machine() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def capsule(machine: Site) -> Iterator[Daemon]:
    with daemon(inside=machine.inside) as made:
        made.push_image()
        yield made


def web(name: str, *ports: Mapping[str, object], page: str = "") -> str:
    script = f"echo {page or name} > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    container = {"image": "demo:1", "command": ["sh", "-c", script], "ports": list(ports), "stopGraceSeconds": 0}
    return json.dumps({"name": name, "kind": "Container", "container": container})


def fetch(where: Site, address: str, port: int = 80) -> str:
    program = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"
    return where.run("/usr/bin/python3", "-c", program, f"http://{address}:{port}/").stdout.strip()


def fetch_from(capsule: Daemon, name: str, address: str, port: int = 80) -> str:
    # Debian's static busybox crashes in wget's look-up of anything but loopback; nc asks for no look-up.
    script = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} {port}"
    return (capsule.ctl("exec", name, "--", "sh", "-c", script).stdout.splitlines() or [""])[-1]


def address_of(capsule: Daemon, name: str) -> str:
    return str(capsule.status(name)["address"])


def test_a_host_port_answers_from_everywhere(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("one", {"containerPort": 80, "hostPort": 8080}), "--wait")
    capsule.apply(web("two"), "--wait")
    with site() as neighbour:
        machine.join(neighbour, "192.0.2.1/24", "192.0.2.2/24")
        machine.good("sysctl", "-qw", "net.ipv4.ip_forward=1")
        capsule.until(lambda: fetch(neighbour, "192.0.2.1", 8080) == "one", "from the LAN")
        assert fetch(machine, "192.0.2.1", 8080) == "one", "from the machine, on its LAN address"
    assert fetch(machine, "127.0.0.1", 8080) == "one", "from the machine itself"
    assert fetch(machine, "172.20.254.1", 8080) == "one", "on the bridge's address"
    assert fetch(machine, address_of(capsule, "one")) == "one", "by its own address"
    assert fetch_from(capsule, "two", address_of(capsule, "one")) == "one", "from another workload, by address"
    assert fetch_from(capsule, "two", "172.20.254.1", 8080) == "one", "from another workload, by mapped port"
    assert fetch_from(capsule, "one", "172.20.254.1", 8080) == "one", "from itself, by its own mapped port"
    capsule.good("delete", "one", "two", "--yes")


def test_the_lan_reaches_what_is_published_to_it_and_nothing_else(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("shown", {"containerPort": 80, "hostPort": 8083}), "--wait")
    capsule.apply(web("own", {"containerPort": 80, "hostPort": 8084, "hostAddress": "127.0.0.1"}), "--wait")
    capsule.apply(web("hidden"), "--wait")

    def answers(name: str) -> bool:
        return fetch(machine, address_of(capsule, name)) == name

    with site() as neighbour:
        machine.join(neighbour, "192.0.2.1/24", "192.0.2.2/24")
        machine.good("sysctl", "-qw", "net.ipv4.ip_forward=1")
        neighbour.good("ip", "route", "add", "172.20.254.0/24", "via", "192.0.2.1")
        capsule.until(lambda: fetch(neighbour, "192.0.2.1", 8083) == "shown", "a published port")
        for name in ("shown", "own", "hidden"):
            capsule.until(partial(answers, name), "from the machine itself")
            assert fetch(neighbour, address_of(capsule, name)) == "", f"{name}, by its own address"
        assert fetch(neighbour, "192.0.2.1", 8084) == "" and fetch(machine, "127.0.0.1", 8084) == "own"
        server = [*neighbour.inside, "busybox", "httpd", "-f", "-p", "192.0.2.2:9001", "-h", "/sys/class/net/lo"]
        with running(server) as listening:
            try:
                script = "printf 'GET /mtu HTTP/1.0\\r\\n\\r\\n' | nc -w 3 192.0.2.2 9001"
                capsule.until(
                    lambda: "65536" in capsule.ctl("exec", "hidden", "--", "sh", "-c", script).stdout, "it is answered"
                )
            finally:
                listening.kill()
    capsule.good("delete", "shown", "own", "hidden", "--yes")


ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
    echo.bind(("0.0.0.0", 5353))
    print("up", flush=True)
    while True:
        said, whose = echo.recvfrom(512)
        echo.sendto(b"heard " + said, whose)
"""
ASK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.settimeout(3)
    asking.connect((sys.argv[1], int(sys.argv[2])))  # takes an answer from nowhere else
    asking.send(b"me")
    print(asking.recv(512).decode())
"""


def ask(where: Site, address: str, port: int = 8053) -> str:
    return where.run("/usr/bin/python3", "-c", ASK, address, str(port)).stdout.strip()


def test_a_udp_port_answers_from_everywhere(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("echo", {"containerPort": 5353, "hostPort": 8053, "protocol": "udp"}), "--wait")
    # Its image has nothing that speaks UDP: a program of the machine's does, in the workload's own network namespace.
    command = ["nsenter", f"--net=/proc/{capsule.status('echo')['pid']}/ns/net", "/usr/bin/python3", "-c", ECHO]
    with running(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None and server.stdout.readline() == "up\n"
            with site() as neighbour:
                machine.join(neighbour, "192.0.2.1/24", "192.0.2.2/24")
                machine.good("sysctl", "-qw", "net.ipv4.ip_forward=1")
                assert ask(neighbour, "192.0.2.1") == "heard me", "from the LAN"
                assert ask(machine, "192.0.2.1") == "heard me", "from the machine, on its LAN address"
            assert ask(machine, "127.0.0.1") == "heard me", "from the machine itself"
            assert ask(machine, "172.20.254.1") == "heard me", "on the bridge's address"
            assert ask(machine, address_of(capsule, "echo"), 5353) == "heard me", "by its own address"
            capsule.apply(web("echo"), "--wait")
            assert ask(machine, "127.0.0.1") == "", "and no more once it is not mapped"
        finally:
            server.kill()
    capsule.good("delete", "echo", "--yes")


def test_health_on_the_bridge_is_asked_at_the_workloads_own_address(capsule: Daemon) -> None:
    for kind, check in (("http", {"http": {"port": 80, "path": "/index.html"}}), ("tcp", {"tcp": {"port": 80}})):
        wanted = json.loads(web(kind))
        wanted["container"]["health"] = {**check, "interval": "200ms", "retries": 2, "startPeriod": "1s"}
        capsule.apply(json.dumps(wanted), "--wait")
        assert capsule.status(kind)["health"] == "healthy"
        wanted["container"] |= {"command": ["sleep", "4711"], "restart": "NEVER"}
        capsule.apply(json.dumps(wanted))
        capsule.until(lambda kind=kind: capsule.status(kind).get("health") == "unhealthy", "nothing answers there")  # type: ignore[misc]
        assert "port 80" in capsule.status(kind)["healthMessage"]
        capsule.good("delete", kind, "--yes")


def test_a_workload_reaches_the_lan_with_the_machines_address(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("out"), "--wait")
    program = "import socket; s = socket.create_server(('192.0.2.2', 9000)); print('up', flush=True)\n"
    program += "while True: c, a = s.accept(); c.sendall(a[0].encode()); c.close()"
    with site() as neighbour:
        machine.join(neighbour, "192.0.2.1/24", "192.0.2.2/24")
        machine.good("sysctl", "-qw", "net.ipv4.ip_forward=1")
        command = [*neighbour.inside, "/usr/bin/python3", "-c", program]
        with running(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None and server.stdout.readline() == "up\n"
                # The neighbour has no way back to the bridge: only the machine's own address is answered.
                assert capsule.ctl("exec", "out", "--", "nc", "-w", "3", "192.0.2.2", "9000").stdout == "192.0.2.1"
            finally:
                server.kill()
    capsule.good("delete", "out", "--yes")


def test_what_is_in_the_way_of_forwarding_is_told_while_it_matters(machine: Site, capsule: Daemon) -> None:
    machine.good("sysctl", "-qw", "net.ipv4.ip_forward=0")
    assert "ip_forward" not in capsule.ctl("capsule", "info").stderr, "nobody is on the bridge"
    capsule.apply(web("walled"), "--wait")
    assert "warning: this machine forwards no packets" in capsule.ctl("capsule", "info").stderr
    assert machine.good("sysctl", "-n", "net.ipv4.ip_forward") == "0\n", "it is the owner's to change"
    machine.good("sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert "warning" not in capsule.ctl("capsule", "info").stderr
    capsule.good("delete", "walled", "--yes")


def test_a_host_port_takes_nothing_from_the_machine_itself() -> None:
    with site() as machine, daemon(start=False, inside=machine.inside) as capsule:
        capsule.start("--listen", "127.0.0.1:50000")
        capsule.push_image()
        with machine.on_thread(lambda: socket.create_server(("127.0.0.1", 7788))):
            for port, words in (
                ({"hostPort": 7788}, "which a program of the machine itself has at 127.0.0.1"),
                ({"hostPort": 50000}, "which capsuled's API has at 127.0.0.1"),
                ({"hostPort": 53, "protocol": "udp"}, "which the workloads' name server has at 172.20.254.1"),
                ({"hostPort": 8088, "hostAddress": "192.0.2.99"}, "does not have the address 192.0.2.99"),
            ):
                greedy = web("greedy", {"containerPort": 80, **port})
                for command in (("apply",), ("apply", "--dry-run")):
                    refused = capsule.ctl(*command, "-f", "-", stdin=greedy)
                    assert refused.returncode == 1 and words in refused.stderr, refused.stderr
            everywhere = {"containerPort": 80, "hostPort": 8088, "hostAddress": "0.0.0.0"}
            beside = {"containerPort": 80, "hostPort": 7788, "hostAddress": "127.0.0.2"}
            capsule.apply(web("modest", everywhere, beside), "--wait")
            capsule.until(lambda: fetch(machine, "127.0.0.1", 8088) == "modest", "on all addresses")
            assert fetch(machine, "127.0.0.2", 7788) == "modest"
            assert "unchanged" in capsule.apply(web("modest", everywhere, beside))
            assert "hostPort" not in capsule.ctl("capsule", "info").stderr


def test_a_workload_cannot_reach_the_machines_loopback(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("curious"), "--wait")
    ask = "printf 'GET /\\r\\n\\r\\n' | busybox nc -w 3 127.0.0.1 7777"
    with running([*machine.inside, "busybox", "httpd", "-f", "-p", "127.0.0.1:7777", "-h", "/etc"]):
        capsule.until(lambda: machine.run("sh", "-c", ask).stdout, "it listens")
        # Through the bridge, with the loopback address as destination: root of the machine's own namespace can do it for
        # the workload, as a workload with NET_ADMIN could.
        inside = ("nsenter", f"--net={capsule.namespace('curious')}", "--", "sh", "-c")
        way = "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip route add 127.0.0.1 via 172.20.254.1"
        assert machine.run(*inside, f"ip address flush dev lo; {way}; {ask}").stdout == ""
        assert machine.run("sh", "-c", ask).stdout, "it listens still"
    capsule.good("delete", "curious", "--yes")


def test_a_port_is_chosen_kept_and_refused_to_others(capsule: Daemon) -> None:
    capsule.apply(web("chosen", {"containerPort": 80, "hostPort": 0}), "--wait")
    (port,) = capsule.data("get", "chosen")["container"]["ports"]
    assert port["hostPort"] >= 30_000
    leads = f"{port['hostPort']}->80/tcp"
    assert leads in capsule.good("list") and leads in capsule.good("get", "chosen")
    assert address_of(capsule, "chosen") in capsule.good("list", "-o", "wide")
    assert "unchanged" in capsule.apply(web("chosen", {"containerPort": 80, "hostPort": 0}))
    other = capsule.ctl("apply", "-f", "-", stdin=web("other", {"containerPort": 80, "hostPort": port["hostPort"]}))
    assert other.returncode == 1 and "which chosen has" in other.stderr
    capsule.good("delete", "chosen", "--yes")


def test_an_address_stays_over_restart_change_and_stop(capsule: Daemon) -> None:
    capsule.apply(web("steady"), "--wait")
    before = address_of(capsule, "steady")
    capsule.good("restart", "steady", "--wait")
    assert address_of(capsule, "steady") == before
    capsule.apply(web("steady", page="changed"), "--wait")
    assert address_of(capsule, "steady") == before
    capsule.good("stop", "steady", "--wait")
    capsule.good("start", "steady", "--wait")
    assert address_of(capsule, "steady") == before
    capsule.good("delete", "steady", "--yes")


def test_what_another_hand_removes_is_noticed_and_mended(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("mended", {"containerPort": 80, "hostPort": 8081}), "--wait")
    machine.good("nft", "flush", "ruleset")
    capsule.until(lambda: fetch(machine, "127.0.0.1", 8081) == "mended", "the rules are back")
    assert any(event["type"] == "network.drifted" for event in capsule.history())
    pid = capsule.status("mended")["pid"]
    (link,) = (one["ifname"] for one in json.loads(machine.good("ip", "-j", "link", "show", "type", "veth")) if one)
    machine.good("ip", "link", "delete", link)
    capsule.until(lambda: fetch(machine, "127.0.0.1", 8081) == "mended", "the link is back")
    assert fetch_from(capsule, "mended", "172.20.254.1", 8081) == "mended", "and its way out"
    assert capsule.status("mended")["pid"] == pid, "it was not restarted for it"
    capsule.good("delete", "mended", "--yes")


def test_rules_of_others_are_left_alone(machine: Site, capsule: Daemon) -> None:
    machine.good("nft", "add", "table", "ip", "mine")
    capsule.apply(web("polite"), "--wait")
    capsule.good("delete", "polite", "--yes")
    assert "table ip mine" in machine.good("nft", "list", "tables")
    machine.good("nft", "delete", "table", "ip", "mine")


def test_ports_answer_again_after_the_daemon_was_killed(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("lasting", {"containerPort": 80, "hostPort": 8082}), "--wait")
    capsule.until(lambda: fetch(machine, "127.0.0.1", 8082) == "lasting", "it listens")
    capsule.kill()
    assert fetch(machine, "127.0.0.1", 8082) == "lasting", "without a daemon"
    capsule.start()
    assert fetch(machine, "127.0.0.1", 8082) == "lasting"
    capsule.good("delete", "lasting", "--yes")
    left = machine.good("sh", "-c", "ip -br link; nft list ruleset")
    assert left.split()[0] == "lo" and "capsule" not in left and "br0" not in left, left


def test_a_bridge_of_somebody_elses_is_not_touched() -> None:
    with site() as machine, daemon(inside=machine.inside) as capsule:
        machine.good("ip", "link", "add", "br0", "type", "bridge")
        capsule.push_image()
        capsule.apply(web("stuck"))
        capsule.until(lambda: "is not Capsule's" in str(capsule.status("stuck").get("message")), "it says why")
        capsule.good("delete", "stuck", "--yes")
        assert "br0" in machine.good("ip", "-br", "link")


def test_another_bridge_and_another_subnet_take_everybody_along() -> None:
    with site() as machine, daemon(start=False, inside=machine.inside) as capsule:
        capsule.start()
        capsule.push_image()
        port = {"containerPort": 80, "hostPort": 8099}
        capsule.apply(web("one", port), "--wait")
        capsule.apply(web("two"), "--wait")
        before = capsule.status("one")
        # The bridge alone has another name: links are plugged over, and what runs notices nothing.
        capsule.stop()
        capsule.start("--bridge", "br7")
        capsule.until(lambda: fetch(machine, "127.0.0.1", 8099) == "one", "over the new bridge")
        capsule.until(lambda: fetch_from(capsule, "two", address_of(capsule, "one")) == "one", "from another workload")
        assert capsule.status("one")["pid"] == before["pid"]
        assert "br0" not in machine.good("ip", "-o", "link") + machine.good("nft", "list", "tables")
        # Another subnet: addresses, links, rules and names follow, and what runs is started anew.
        capsule.stop()
        capsule.start("--bridge", "br8", "--subnet", "10.77.0.0/24")
        capsule.until(lambda: fetch(machine, "127.0.0.1", 8099) == "one", "over the new subnet")
        assert address_of(capsule, "one").startswith("10.77.0.") and address_of(capsule, "two").startswith("10.77.0.")
        capsule.until(lambda: fetch(machine, address_of(capsule, "two")) == "two", "the other one, too")
        capsule.until(lambda: fetch_from(capsule, "two", address_of(capsule, "one")) == "one", "from another workload")
        assert address_of(capsule, "one") in capsule.good("exec", "two", "--", "nslookup", "one")
        left = machine.good("ip", "-o", "address") + machine.good("nft", "list", "tables")
        assert "172.20.254" not in left and "br7" not in left
        (moved,) = capsule.history("--type", "network.moved")
        assert moved["body"]["subnet"] == "10.77.0.0/24"
        # And back, on the same bridge.
        capsule.stop()
        capsule.start("--bridge", "br8")
        capsule.until(lambda: fetch(machine, "172.20.254.1", 8099) == "one", "over the old subnet again")
        assert "10.77.0" not in machine.good("ip", "-o", "address")
        # A wider one around it: everybody keeps the address, and has another way out.
        kept = address_of(capsule, "one")
        before = capsule.status("one")
        capsule.stop()
        capsule.start("--bridge", "br8", "--subnet", "172.20.252.0/22")
        capsule.until(lambda: capsule.status("one").get("pid", 0) not in (0, before["pid"]), "it is started anew")
        capsule.until(lambda: fetch(machine, "172.20.252.1", 8099) == "one", "over the wider subnet")
        assert address_of(capsule, "one") == kept
        assert "default via 172.20.252.1 " in capsule.good("exec", "one", "--", "ip", "route")
        assert kept in capsule.good("exec", "one", "--", "nslookup", "one")
        capsule.good("delete", "one", "two", "--yes")
        assert "br8" not in machine.good("ip", "-o", "link")

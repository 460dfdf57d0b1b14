"""Capsules on a LAN of namespaces: announced, found, told apart from one that lies, and unharmed by a broken network."""

import hashlib
import json
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import pytest
from zeroconf import ServiceInfo, Zeroconf

from tests.support.certificates import authority
from tests.support.daemon import CTL, Daemon, daemon
from tests.support.site import Site, lan, site

pytestmark = pytest.mark.real

SERVICE = "_capsule._tcp.local."
EVERYWHERE = ("--listen", "0.0.0.0:50000")


class Place:
    """A LAN, and an operator's laptop on it."""

    def __init__(self, switch: Site, laptop: Site, config: Path) -> None:
        self.switch = switch
        self.laptop = laptop
        self.config = config

    def ctl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run capsulectl on the laptop."""
        environment = {"CAPSULE_CONFIG_DIR": str(self.config), "NO_COLOR": "1", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
        return self.laptop.run(CTL, *arguments, env=environment)

    def discover(self, *options: str) -> dict[str, dict[str, Any]]:
        """What the laptop finds, by capsule id."""
        done = self.ctl("discover", "--timeout", "1.5", "-o", "json", *options)
        assert done.returncode == 0, done.stderr
        return {one["capsuleId"]: one for one in json.loads(done.stdout)}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with lan() as switch, site() as laptop:
        laptop.plug_into(switch, "10.9.0.100/24")
        yield Place(switch, laptop, tmp_path / "config")


@contextmanager
def capsule(*plugs: tuple[Site, str, str], options: tuple[str, ...] = EVERYWHERE) -> Iterator[tuple[Daemon, Site]]:
    """A daemon on a machine of its own, with cables: (switch, address, link)."""
    with site() as machine, daemon(start=False, inside=machine.inside) as made:
        for switch, address, link in plugs:
            machine.plug_into(switch, address, link)
        made.start(*options)
        yield made, machine


def identity(made: Daemon) -> tuple[str, str]:
    """(capsule id, fingerprint), asked by the machine's own socket."""
    info = made.data("capsule", "info")
    return info["capsuleId"], info["tlsFingerprintSha256"]


def announced(made: Daemon, times: int = 1) -> None:
    made.until(lambda: made.output().count(" announced at ") >= times, "announced")


def test_several_capsules_are_found_and_those_that_are_known_are_named(place: Place) -> None:
    plugs = [(place.switch, f"10.9.0.{number}/24", "lan0") for number in (1, 2)]
    with capsule(plugs[0]) as (one, _), capsule(plugs[1]) as (other, _):
        (one_id, one_print), (other_id, other_print) = identity(one), identity(other)
        for made in (one, other):
            announced(made)
        assert "capsulectl adopt 10.9.0.1:50000" in one.output()
        found = place.discover()
        assert {key: value["fingerprint"] for key, value in found.items()} == {one_id: one_print, other_id: other_print}
        assert found[one_id]["address"] == "10.9.0.1:50000" and found[other_id]["address"] == "10.9.0.2:50000"
        assert len({one["name"] for one in found.values()}) == 2, "the same host name, and yet two names"
        for value in found.values():
            assert not value["adopted"] and value["mode"] == "runtime" and value["version"] and not value["context"]
        assert set(place.discover("--unadopted")) == {one_id, other_id}

        adopted = place.ctl("adopt", found[one_id]["address"], "--fingerprint", one_print, "--name", "home")
        assert adopted.returncode == 0, adopted.stderr
        one.until(lambda: set(place.discover("--unadopted")) == {other_id}, "it says that it is adopted")
        found = place.discover()
        assert found[one_id]["adopted"] and found[one_id]["context"] == "home" and not found[other_id]["context"]
        lines = place.ctl("discover", "--timeout", "1.5").stdout.splitlines()
        assert lines[0].split() == ["NAME", "ADDRESS", "ADOPTED", "VERSION", "FINGERPRINT", "CONTEXT"]
        assert any(line.split()[-1] == "home" and one_print[:16] in line for line in lines)
        names = place.ctl("discover", "--timeout", "1.5", "-o", "name").stdout.split()
        assert names and set(names) == {"10.9.0.1:50000", "10.9.0.2:50000"}


class Liar:
    """A machine that announces whatever it likes and shows a certificate of its own."""

    def __init__(self, machine: Site, scratch: Path) -> None:
        own = authority(scratch)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(own.certificate_file, own.key_file)
        self.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(own.pem)).hexdigest()
        self._listener = machine.on_thread(lambda: socket.create_server(("0.0.0.0", 50_000)))
        self._zeroconf = machine.on_thread(lambda: Zeroconf(use_asyncio=False))
        threading.Thread(target=self._serve, daemon=True).start()

    def say(self, name: str, address: str, **said: str) -> None:
        info = ServiceInfo(
            SERVICE, f"{name}.{SERVICE}", port=50_000, properties=said, server=f"{name}.local.", parsed_addresses=[address]
        )  # fmt: skip
        self._zeroconf.register_service(info, cooperating_responders=True, strict=False)

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
                with plain, self._context.wrap_socket(plain, server_side=True):
                    pass
            except ssl.SSLError:
                continue
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._zeroconf.close()


CAPSULE = (b"_capsule", b"_tcp", b"local")


def _labels(labels: tuple[bytes, ...]) -> bytes:
    return b"".join(bytes([len(one)]) + one for one in labels) + b"\0"


def pointers(*names: tuple[bytes, ...]) -> bytes:
    """An answer that nobody asked for: capsules have these names. Source: RFC 1035, RFC 6762."""
    answer = struct.pack(">HHHHHH", 0, 0x8400, 0, len(names), 0, 0)
    for target in map(_labels, names):
        answer += _labels(CAPSULE) + struct.pack(">HHIH", dns.rdatatype.PTR, 1, 4_500, len(target)) + target
    return answer


@contextmanager
def shouting(machine: Site, address: str, answers: list[bytes]) -> Iterator[None]:
    """A neighbour who says this to everybody, over and over."""
    speaker = machine.on_thread(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    speaker.bind((address, 5_353))
    speaker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    over = threading.Event()

    def shout() -> None:
        while not over.wait(0.2):
            for answer in answers:
                speaker.sendto(answer, ("224.0.0.251", 5_353))

    thread = threading.Thread(target=shout)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        speaker.close()


def test_a_neighbour_who_announces_what_is_no_capsule_hides_nobody(place: Place) -> None:
    answers = [pointers((b"printer", b"_ipp", b"_tcp", b"local")), pointers((b"bad\x07name", *CAPSULE), CAPSULE)]
    with capsule((place.switch, "10.9.0.1/24", "lan0")) as (honest, _), site() as machine:
        machine.plug_into(place.switch, "10.9.0.66/24")
        announced(honest)
        with shouting(machine, "10.9.0.66", answers):
            assert set(place.discover()) == {identity(honest)[0]}


def test_a_neighbour_who_floods_the_network_is_told_of(place: Place) -> None:
    with site() as machine:
        machine.plug_into(place.switch, "10.9.0.66/24")
        names = [(b"%d" % number, *CAPSULE) for number in range(300)]
        with shouting(machine, "10.9.0.66", [pointers(*names[at : at + 20]) for at in range(0, 300, 20)]):
            done = place.ctl("discover", "--timeout", "4")
        assert done.returncode == 0 and "more than 256 names were announced" in done.stderr


def test_who_lies_about_its_fingerprint_is_shown_as_it_is(place: Place, tmp_path: Path) -> None:
    with capsule((place.switch, "10.9.0.1/24", "lan0")) as (honest, _), site() as machine:
        machine.plug_into(place.switch, "10.9.0.66/24")
        announced(honest)
        capsule_id, fingerprint = identity(honest)
        assert place.ctl("adopt", "10.9.0.1:50000", "--yes", "--name", "home").returncode == 0
        liar = Liar(machine, tmp_path)
        try:
            said = {"capsule_id": capsule_id, "adopted": "false", "version": "9.9\x1b[31m"}
            said |= dict.fromkeys(("fingerprint", "tls_fingerprint_sha256", "fp"), fingerprint)
            liar.say("better", "10.9.0.66", **said)
            liar.say("nowhere", "10.9.0.66", capsule_id="x" * 200)
            done = place.ctl("discover", "--timeout", "1.5", "-o", "json")
            found = {one["name"]: one for one in json.loads(done.stdout)}
            assert found["better"]["fingerprint"] == liar.fingerprint != fingerprint
            assert found["better"]["context"] == "" and found["better"]["address"] == "10.9.0.66:50000"
            assert "WARNING: better at 10.9.0.66:50000 says that it is home, but shows another" in done.stderr
            (own,) = [one for one in found.values() if one["fingerprint"] == fingerprint]
            assert own["context"] == "home" and own["address"] == "10.9.0.1:50000"
            shown = place.ctl("discover", "--timeout", "1.5")
            assert "\x1b" not in shown.stdout and "9.9\\x1b[31m" in shown.stdout
            refused = place.ctl("adopt", "10.9.0.66:50000", "--fingerprint", fingerprint)
            assert refused.returncode == 1 and "REFUSED" in refused.stderr
        finally:
            liar.close()


def test_the_announcement_follows_addresses_and_each_lan_hears_its_own(place: Place) -> None:
    with lan() as second, site() as elsewhere, capsule((place.switch, "10.9.0.1/24", "lan0")) as (made, machine):
        elsewhere.plug_into(second, "10.8.0.100/24")
        other = Place(second, elsewhere, place.config)
        capsule_id, _ = identity(made)
        announced(made)
        assert place.discover()[capsule_id]["addresses"] == ["10.9.0.1:50000"] and not other.discover()

        machine.plug_into(second, "10.8.0.1/24", "lan1")
        announced(made, 2)
        assert other.discover()[capsule_id]["addresses"] == ["10.8.0.1:50000"]
        assert place.discover()[capsule_id]["addresses"] == ["10.9.0.1:50000"]

        machine.good("ip", "address", "add", "10.9.0.7/24", "dev", "lan0")
        machine.good("ip", "address", "del", "10.9.0.1/24", "dev", "lan0")
        machine.good("ip", "address", "replace", "10.9.0.7/24", "dev", "lan0")
        made.until(lambda: "announced at 10.9.0.7:50000" in made.output(), "the new address")
        assert place.discover()[capsule_id]["addresses"] == ["10.9.0.7:50000"]

        machine.good("ip", "link", "del", "lan1")
        made.until(lambda: "not announced at 10.8.0.1:50000 any more" in made.output(), "the cable is pulled")
        assert not other.discover()


def test_a_reply_holds_everything_at_once_and_the_bridge_is_in_none(place: Place) -> None:
    with capsule((place.switch, "10.9.0.1/24", "lan0")) as (made, machine):
        machine.good("ip", "link", "add", "br0", "type", "bridge")
        machine.good("ip", "address", "add", "172.20.254.1/24", "dev", "br0")
        machine.good("ip", "link", "set", "br0", "up")
        announced(made)
        query = dns.message.make_query(SERVICE, dns.rdatatype.PTR).to_wire()

        def ask() -> bytes:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(10)
                asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.100"))
                asking.sendto(query, ("224.0.0.251", 5353))
                return asking.recv(9_000)

        reply = dns.message.from_wire(place.laptop.on_thread(ask), continue_on_error=True)  # NSEC is compressed here
        records = {dns.rdatatype.to_text(one.rdtype): one for one in (*reply.answer, *reply.additional)}
        assert {"PTR", "SRV", "TXT", "A"} <= records.keys()
        assert [one.address for one in records["A"]] == ["10.9.0.1"]
        (server,), (text,) = records["SRV"], records["TXT"]
        assert server.port == 50_000
        said = dict(one.decode().split("=", 1) for one in text.strings)
        capsule_id, _ = identity(made)
        assert said.pop("version") and said.pop("hostname")
        expected = {"capsule_id": capsule_id, "short_id": f"capsule-{capsule_id[:4]}", "adopted": "false"}
        assert said == expected | {"mode": "runtime"}
        made.stop()
        assert made.output().count("announced at") == 1 and "172.20.254.1" not in made.output()


def test_on_loopback_only_nothing_is_announced_and_no_port_is_taken(place: Place) -> None:
    with capsule((place.switch, "10.9.0.1/24", "lan0"), options=("--listen", "127.0.0.1:50000")) as (_, machine):
        assert not place.discover()
        assert ":5353" not in machine.good("ss", "-lun")
        nobody = place.ctl("discover", "--timeout", "0.2")
        assert nobody.returncode == 0 and not nobody.stdout and "no capsule answered within 0.2 s" in nobody.stderr


def test_broken_multicast_stops_nobody(place: Place) -> None:
    with site() as machine, daemon(start=False, inside=machine.inside) as made:
        machine.plug_into(place.switch, "10.9.0.1/24")
        taken = machine.on_thread(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        taken.bind(("0.0.0.0", 5353))  # and shares it with nobody
        made.start(*EVERYWHERE)
        made.until(lambda: "cannot be announced at 10.9.0.1" in made.output(), "it says so")
        assert place.ctl("adopt", "10.9.0.1:50000", "--yes").returncode == 0
        taken.close()
        machine.good("ip", "address", "add", "10.9.0.8/24", "dev", "lan0")  # something changes: it is tried again
        announced(made)
        # From here on the kernel refuses every packet to the group.
        machine.good("nft", "add table ip deaf; add chain ip deaf out { type filter hook output priority 0; };"
                     "add rule ip deaf out udp dport 5353 drop")  # fmt: skip
        assert not place.discover()
        machine.good("ip", "link", "set", "lan0", "down")
        machine.good("ip", "link", "set", "lan0", "up")
        assert place.ctl("whoami").returncode == 0
        machine.good("nft", "delete", "table", "ip", "deaf")
        made.until(place.discover, "it is found again")


def test_without_any_network_the_daemon_serves_and_discover_finds_nobody(place: Place) -> None:
    with capsule() as (made, machine):
        assert made.data("capsule", "info")["condition"] == "ok"
        done = machine.run(CTL, "discover", "--timeout", "0.5", env={"HOME": str(made.scratch)})
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.startswith("no capsule answered within 0.5 s: ") and done.stderr.count("\n") == 1
        machine.plug_into(place.switch, "10.9.0.1/24")
        announced(made)
        assert identity(made)[0] in place.discover()

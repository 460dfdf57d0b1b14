"""A real daemon and real containers: an exec that is cut with its key, and a machine whose keys were all lost."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import CAPSULED, CTL, SERVE, Daemon, daemon, manifest
from tests.support.operators import Operator
from tests.support.programs import running
from tests.support.site import site

pytestmark = pytest.mark.real
LISTEN = ("--listen", "127.0.0.1:0")


@pytest.fixture(scope="module")
def machine() -> Iterator[Daemon]:
    with daemon(start=False) as made:
        made.start(*LISTEN)
        made.push_image()
        made.apply(manifest("web", SERVE), "--wait")
        yield made


def address(machine: Daemon) -> str:
    found: str = machine.data("capsule", "info")["addresses"][0]
    return found


def adopted(machine: Daemon, directory: Path) -> Operator:
    made = Operator(directory)
    made.good("adopt", address(machine), "--yes", "--operator", directory.name)
    return made


def test_removing_a_key_ends_its_exec_and_the_process_in_the_container(machine: Daemon, tmp_path: Path) -> None:
    admin, other = adopted(machine, tmp_path / "admin"), Operator(tmp_path / "other")
    admin.good("key", "add", other.public_key(), "--name", "other")
    other.good("adopt", address(machine), "--yes")
    count = ["exec", "web", "--", "sh", "-c", "ps | grep -c '[s]leep 4711'"]
    command = [CTL, "exec", "web", "sleep", "4711"]
    with running(command, env=other.environment, stderr=subprocess.PIPE, text=True) as session:
        machine.until(lambda: machine.ctl(*count).stdout == "1\n", "it sleeps")
        admin.good("key", "rm", "other", "--yes")
        _, said = session.communicate(timeout=30)
    assert session.returncode == 125 and "this key was removed" in said
    machine.until(lambda: machine.ctl(*count).stdout == "0\n", "its process is gone")
    (closed,) = [one for one in machine.history("--type", "stream.closed") if one["body"]["outcome"] == "cancelled"]
    assert closed["actorName"] == "other" and "took_ms" in closed["body"]


def test_an_operator_reaches_into_an_ordinary_workload_and_not_into_one_that_is_root(
    machine: Daemon, tmp_path: Path
) -> None:
    other = Operator(tmp_path / "other")
    machine.good("key", "add", other.public_key(), "--name", "third", "--role", "operator")
    other.good("adopt", address(machine), "--yes")
    machine.apply(manifest("root", SERVE, hostPid=True), "--wait")
    assert other.good("exec", "web", "--", "echo", "in") == "in\n"
    denied = other.ctl("exec", "root", "--", "echo", "in")
    assert denied.returncode == 125 and "root is root on the machine by another name" in denied.stderr
    other.good("stop", "root")
    (event,) = machine.history("--type", "call.denied", "--actor", "third")
    assert event["body"]["method"] == "WorkloadService.Exec" and event["body"]["reason"] == "ROLE_LACKS"


def test_reset_auth_takes_the_keys_off_at_the_next_start_and_the_certificate_stays(
    machine: Daemon, tmp_path: Path
) -> None:
    before = machine.data("capsule", "info")["tlsFingerprintSha256"]
    assert machine.data("key", "list")
    machine.stop()
    by_hand = machine.state / "capsule"  # which the daemon has made, for whoever does as the manual says
    (by_hand / "RESET_AUTH").touch()
    machine.start(*LISTEN)
    assert not machine.data("key", "list") and not (by_hand / "RESET_AUTH").exists()
    (event,) = machine.history("--type", "operators.reset")
    assert event["actor"] == "system"
    assert machine.data("capsule", "info")["tlsFingerprintSha256"] == before
    newcomer = adopted(machine, tmp_path / "newcomer")
    assert newcomer.data("whoami")["role"] == "admin"
    machine.stop()
    machine.start(*LISTEN)
    assert [key["name"] for key in machine.data("key", "list")] == ["newcomer"]


def test_an_address_that_was_asked_for_must_be_had_and_the_default_need_not(machine: Daemon) -> None:
    taken = address(machine)
    with daemon(start=False) as second:
        done = subprocess.run(
            [CAPSULED, "--state", second.state, "--listen", taken],
            env=second.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert f"capsuled: {taken}: cannot be listened on: another program does already" in done.stderr
        assert "Traceback" not in done.stderr and "--listen" in done.stderr
    bad = subprocess.run([CAPSULED, "--listen", "nonsense"], capture_output=True, text=True, timeout=60, check=False)
    assert bad.returncode == 2 and "is no ADDRESS:PORT" in bad.stderr


def test_a_default_port_that_another_program_has_is_said_and_the_socket_serves() -> None:
    with site() as place, daemon(start=False, inside=place.inside) as made:
        other = place.on_thread(lambda: socket.create_server(("127.0.0.1", 50_000)))
        made.start(default_port=True)
        info = made.data("capsule", "info")
        assert info.get("addresses", []) == [] and info["condition"] == "ok"
        (warning,) = [one for one in info["warnings"] if "50000" in one]
        assert "127.0.0.1:50000 cannot be listened on: another program does already" in warning
        assert "ss -ltnp" in warning and "--listen" in warning and warning in made.output()
        made.stop()
        other.close()
        made.start(default_port=True)
        assert made.data("capsule", "info")["addresses"] == ["127.0.0.1:50000"]

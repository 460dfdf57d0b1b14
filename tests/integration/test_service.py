"""`make install` and `make uninstall`, on a machine of systemd's: what runs outlives the daemon, ends in its own time when
the machine goes down, and of an installation nothing is left but the state."""

import pytest

from tests.support.systemd import Systemd, systemd
from tools.demo_image import archive
from tools.place import ROOT

pytestmark = [
    pytest.mark.real,
    pytest.mark.needs("systemd-nspawn"),
]

SOCKET = "unix:/var/lib/capsule/capsule.sock"


def told(machine: Systemd, *command: str) -> str:
    done = machine.run(*command)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def asked(machine: Systemd, *words: str) -> str:
    return told(machine, "env", f"CAPSULE_HOST={SOCKET}", "capsulectl", *words)


def service(machine: Systemd, *words: str) -> str:
    return told(machine, "env", f"--chdir={ROOT}", str(ROOT / ".venv/bin/python"), "-m", "tools.service", *words)


def pid_of(machine: Systemd) -> int:
    return int(asked(machine, "history", "hello", "--type", "workload.started", "-n", "1").rpartition("pid ")[2])


def test_a_service_of_systemd_from_its_installation_to_its_last_trace() -> None:
    with systemd() as machine:
        assert "capsuled runs" in service(machine, "install")
        (machine.place / "memory/state/demo.tar").write_bytes(archive("demo:1"))
        asked(machine, "image", "push", "/var/lib/capsule/demo.tar")
        asked(machine, "apply", "-f", str(ROOT / "examples/hello.yaml"), "--wait")
        running = pid_of(machine)
        assert "capsuled runs" in service(machine, "install")
        assert pid_of(machine) == running, "what runs outlives another installation"
        told(machine, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", "capsuled")
        told(machine, "systemctl", "restart", "capsuled")
        assert pid_of(machine) == running, "and the daemon's death"
        told(machine, "test", "-d", f"/proc/{running}")

        machine.off()
        machine.on()
        told(machine, "systemctl", "start", "capsuled")
        assert "machine.halted" in asked(machine, "history", "--type", "machine.")
        asked(machine, "wait", "hello", "--timeout", "90")
        assert asked(machine, "logs", "hello", "--previous") == "hello, world\nbye\n"

        name = asked(machine, "capsule", "info", "-o", "name").strip()
        assert service(machine, "uninstall") == "1 run ended\nuninstalled; /var/lib/capsule stays\n"
        for look in (
            f"ls -d /opt/capsule* /usr/local/bin/capsule* /etc/systemd/system/*caps* /sys/fs/cgroup/*/{name}-*",
            "grep /run/capsule/ /proc/mounts",
            "nft list tables",
            "pgrep -x 'capsuled|containerd|containerd-shim'",
            "ip -brief link show type bridge",
        ):
            assert machine.run("sh", "-c", f"exec {look}").stdout == "", look
        service(machine, "uninstall", "--purge")
        assert told(machine, "ls", "/var/lib/capsule") == ""

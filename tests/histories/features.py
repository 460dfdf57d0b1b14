"""A second life to record, of what the first one did not have: secrets, keys, health, drift, volumes that travel,
microVMs, rollbacks. And what it is after a value was excised and its history was cut."""

import json
import subprocess

from tests.support.daemon import SERVE, Daemon, manifest
from tests.support.microvms import build_guest_image

BOOT_S = 300
"""For a microVM without hardware virtualisation, on a machine that has other things to do."""
LOGIN_HOST = "registry.test:5000"
SLIP = "a password that was typed in the wrong place"
DATA = {"volumeName": "data", "mountPath": "/data"}
SECRETS = {"secretEnv": {"KEY": "key"}, "secrets": ["key"]}


def live(capsule: Daemon) -> None:
    """Everything that has come since, each thing once."""
    build_guest_image()
    capsule.push_image()
    capsule.push_image("docker.io/library/demo:2")
    _keys(capsule)
    _secrets(capsule)
    _volumes(capsule)
    _microvms(capsule)
    _health(capsule)
    _network(capsule)
    _rollbacks(capsule)
    _images(capsule)
    assert "Verified" in capsule.good("replay", "--verify")


def forget(capsule: Daemon) -> None:
    """The same machine goes on, and some of what it remembered goes."""
    capsule.apply(manifest("later", SERVE), "--wait")
    newest = capsule.history("--type", "workload.started")[-1]
    gone = capsule.scratch / "gone.capsule"
    capsule.good("journal", "truncate", "--before", str(newest["seq"]), "--export", str(gone), "--yes")
    _excised(capsule)
    capsule.good("volume", "delete", "data", "--yes")
    capsule.good("delete", "slip", "later", "web", "--yes")
    capsule.apply(manifest("web", SERVE, **SECRETS), "--wait")
    assert "Verified" in capsule.good("replay", "--verify")


def _keys(capsule: Daemon) -> None:
    key = capsule.scratch / "anna"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    first = capsule.scratch / "root"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(first)], check=True)
    capsule.good("key", "add", str(first.with_suffix(".pub")), "--name", "root", "--role", "admin")
    capsule.good("key", "add", str(key.with_suffix(".pub")), "--name", "anna")
    capsule.good("key", "role", "anna", "reader")
    assert capsule.ctl("key", "remove", "root", "--yes").returncode == 1
    capsule.good("key", "remove", "anna", "--yes")


def _secrets(capsule: Daemon) -> None:
    capsule.good("secret", "create", "key", stdin="first value")
    capsule.good("secret", "create", "spare", stdin="never used")
    capsule.apply(manifest("web", SERVE, env={"MODE": "live"}, **SECRETS), "--wait")
    capsule.good("secret", "rotate", "key", stdin="second value")
    capsule.good("secret", "reveal", "key")
    capsule.good("get", "web", "--reveal")
    assert capsule.ctl("secret", "rm", "key", "--yes").returncode == 1
    capsule.good("secret", "rm", "spare", "--yes")


def _volumes(capsule: Daemon) -> None:
    declared = {"name": "data", "kind": "Volume", "size": "32MiB", "drift": "REPORT"}
    capsule.apply(json.dumps(declared))
    capsule.apply(manifest("keeper", SERVE, mounts=[DATA]), "--wait")
    capsule.good("exec", "keeper", "--", "sh", "-c", "echo kept > /data/file")
    capsule.good("exec", "keeper", "--", "dd", "if=/dev/zero", "of=/data/much", "bs=1M", "count=24")
    capsule.until(lambda: _told(capsule, "", "volume.filling", 1), "it is nearly full", 90)
    capsule.good("exec", "keeper", "--", "rm", "/data/much")
    capsule.good("volume", "snapshot", "data", "first")
    file = capsule.scratch / "data.volume"
    capsule.good("volume", "export", "data", str(file), timeout=120)
    capsule.good("volume", "import", "copied", str(file), timeout=120)
    capsule.good("rollback", "volume/data", "--to", "first", "--reason", "a look back", "--yes")
    capsule.good("wait", "keeper")
    capsule.good("stop", "keeper", "--wait")
    capsule.good("volume", "resize", "data", "48MiB")
    capsule.good("volume", "snapshot-delete", "data", "first", "--yes")
    capsule.good("delete", "keeper", "--yes")
    capsule.good("volume", "delete", "copied", "--yes")
    into = capsule.scratch / "copied-in"
    into.write_text("copied\n")
    capsule.good("cp", str(into), "web:/tmp/in")
    capsule.good("cp", "web:/tmp/in", str(capsule.scratch / "copied-out"))


def _microvms(capsule: Daemon) -> None:
    spec = {"image": "demo:1", "command": ["sh", "-c", SERVE], "stopGraceSeconds": 20, "mounts": [DATA]}
    machine = json.dumps({"name": "vm", "kind": "MicroVM", "microVm": {**spec, **SECRETS}})
    capsule.apply(machine)
    capsule.until(lambda: "ready" in capsule.ctl("logs", "vm").stdout, "it runs", BOOT_S)
    capsule.good("exec", "vm", "--", "sh", "-c", "cat /data/file", timeout=BOOT_S)
    capsule.good("secret", "rotate", "key", stdin="third value")
    capsule.good("stop", "vm", "--wait", "--timeout", str(BOOT_S), timeout=BOOT_S)
    capsule.good("delete", "vm", "--yes", timeout=BOOT_S)


def _health(capsule: Daemon) -> None:
    check = {"exec": ["test", "-e", "/tmp/well"], "intervalMs": 1000, "retries": 1, "startPeriodMs": 0}
    capsule.apply(manifest("sick", f"touch /tmp/well; {SERVE}", health=check, restart="NEVER"), "--wait")
    capsule.until(lambda: _told(capsule, "sick", "workload.health_changed", 1), "it is well", 60)
    capsule.good("exec", "sick", "--", "rm", "/tmp/well")
    capsule.until(lambda: _told(capsule, "sick", "workload.health_changed", 2), "it is not", 60)
    greedy = manifest("greedy", "tail /dev/zero; sleep 2; exit 3", resources={"memory": "16MiB"}, restart="NEVER")
    capsule.apply(greedy)
    capsule.until(lambda: _told(capsule, "greedy", "workload.oom_killed", 1), "a process of it is killed", 60)
    capsule.until(lambda: _told(capsule, "greedy", "workload.exited", 1), "it has ended", 60)
    capsule.good("delete", "sick", "greedy", "--yes")


def _network(capsule: Daemon) -> None:
    ports = [{"containerPort": 80, "hostPort": 18_080}]
    capsule.apply(manifest("bridged", SERVE, networkMode="BRIDGE", ports=ports), "--wait")
    subprocess.run([*capsule.inside, "nft", "flush", "ruleset"], check=True)
    capsule.until(lambda: _told(capsule, "", "drift.resolved", 1), "the rules are back", 60)
    for more in (("--subnet", "10.77.0.0/24"), ()):
        assert capsule.stop() == 0
        capsule.start(*more)
        capsule.good("wait", "bridged")
    capsule.good("delete", "bridged", "--yes")


def _rollbacks(capsule: Daemon) -> None:
    capsule.apply(manifest("web", f"{SERVE} # changed", **SECRETS), "--wait")
    capsule.good("rollback", "web", "--to", "previous", "--reason", "it was better before", "--yes", "--wait")


def _images(capsule: Daemon) -> None:
    capsule.good("image", "login", LOGIN_HOST, "-u", "anna", "--password-stdin", "--no-check", stdin="a password")
    capsule.good("image", "logout", LOGIN_HOST)
    capsule.good("image", "rm", "docker.io/library/demo:2")


def _excised(capsule: Daemon) -> None:
    capsule.apply(manifest("slip", f"{SERVE} # {SLIP}"), "--wait")
    (applied,) = capsule.history("slip", "--type", "workload.applied")
    for what in ("better", "best"):  # so that no run of it is remembered, either
        capsule.apply(manifest("slip", f"{SERVE} # {what}"), "--wait")
    capsule.good("journal", "excise", str(applied["seq"]), "--reason", "a slip", "--yes")


def _told(capsule: Daemon, name: str, kind: str, times: int) -> bool:
    return len(capsule.history(*filter(None, (name, "--type", kind)))) >= times

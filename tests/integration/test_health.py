"""Health on a real daemon and a real containerd: each kind of check, what failing leads to, and a daemon that is killed."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import CAPSULED, SERVE, Daemon, daemon, manifest
from tests.support.site import site

pytestmark = pytest.mark.real

QUICK = {"interval": "200ms", "timeout": "2s", "retries": 2, "startPeriod": "0s"}
TOGGLED = "trap 'exit 0' TERM; touch /tmp/well; echo ready; while :; do sleep 1 & wait $!; done"


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with site() as place, daemon(inside=place.inside) as made:
        made.push_image()
        yield made


def told(capsule: Daemon, name: str) -> list[dict[str, Any]]:
    return [event["body"] for event in capsule.history(name, "--type", "workload.health_changed")]


def healths(capsule: Daemon, name: str) -> list[str]:
    return [body["health"] for body in told(capsule, name)]


def test_a_command_says_how_it_is_and_only_changes_are_told(capsule: Daemon) -> None:
    check = {"exec": ["sh", "-c", "test -e /tmp/well || { echo gone; exit 4; }"], **QUICK}
    capsule.apply(manifest("toggled", TOGGLED, health=check, restart="never"), "--wait")
    assert capsule.status("toggled")["health"] == "healthy"
    capsule.good("exec", "toggled", "rm", "/tmp/well")
    capsule.until(lambda: capsule.status("toggled")["health"] == "unhealthy", "it is known to be ill")
    status = capsule.status("toggled")
    assert (status["phase"], status["phaseDetail"]) == ("WORKLOAD_PHASE_RUNNING", "unhealthy")
    assert status["message"] == status["healthMessage"] == "its check exited with code 4, having written 5 bytes"
    capsule.good("exec", "toggled", "touch", "/tmp/well")
    capsule.until(lambda: capsule.status("toggled")["health"] == "healthy", "it is well again")
    assert healths(capsule, "toggled") == ["healthy", "unhealthy", "healthy"]
    assert capsule.status("toggled")["run"] == 1
    assert len(capsule.history("toggled", "--type", "stream.opened")) == 2, "the two above: no look is an entry"
    capsule.good("delete", "toggled", "--yes")


def test_an_unhealthy_run_is_followed_by_another_until_the_policy_gives_up(capsule: Daemon) -> None:
    policy = {"mode": "on-failure", "maxAttempts": 2, "backoffFirst": "100ms"}
    capsule.apply(manifest("sick", SERVE, health={"exec": ["false"], **QUICK}, restart=policy))
    capsule.until(lambda: capsule.status("sick").get("phaseDetail") == "gave-up", "it is given up")
    ends = [event["body"] for event in capsule.history("sick", "--type", "workload.exited")]
    # It ends with 0 when it is asked to: that is no success.
    assert [(end["exit_code"], end["streak"]) for end in ends] == [(0, 1), (0, 2), (0, 3)]
    assert healths(capsule, "sick") == ["unhealthy"] * 3
    message = capsule.status("sick")["message"]
    assert message.startswith("given up after 2 restarts in a row: ended as unhealthy: its check exited with code 1")
    capsule.good("delete", "sick", "--yes")


@pytest.mark.parametrize("check", [{"http": {"port": 18_091}}, {"tcp": {"port": 18_091}}], ids=["http", "tcp"])
def test_ports_on_the_machines_network_are_asked(capsule: Daemon, check: dict[str, Any]) -> None:
    name = f"served-{next(iter(check))}"
    serve = "httpd -f -p 127.0.0.1:18091 -h /var/www"
    capsule.apply(manifest(name, f"exec {serve}", health={**check, **QUICK}, networkMode="HOST"), "--wait")
    assert healths(capsule, name) == ["healthy"]
    capsule.good("delete", name, "--yes")
    capsule.apply(manifest(name, SERVE, health={**check, **QUICK}, networkMode="HOST", restart="never"))
    capsule.until(lambda: capsule.status(name).get("health") == "unhealthy", "nothing answers there")
    assert "18091" in capsule.status(name)["healthMessage"]
    capsule.good("delete", name, "--yes")


def test_a_killed_daemon_changes_nobodys_health_and_sees_what_changes_after_it(capsule: Daemon) -> None:
    check = {"exec": ["test", "-e", "/tmp/well"], **QUICK, "retries": 3}
    capsule.apply(manifest("steady", TOGGLED, health=check, restart="never"), "--wait")
    for _ in range(3):
        capsule.kill()
        capsule.start()
    assert healths(capsule, "steady") == ["healthy"] and capsule.status("steady")["health"] == "healthy"
    capsule.good("exec", "steady", "rm", "/tmp/well")
    capsule.until(lambda: healths(capsule, "steady") == ["healthy", "unhealthy"], "the new daemon looks, too")
    capsule.good("delete", "steady", "--yes")


def test_a_halt_ends_users_first(capsule: Daemon) -> None:
    note = (
        "trap 'read up rest < /proc/uptime; echo $up; exit 0' TERM; echo ready; while :; do sleep 0.2 & wait $!; done"
    )
    top = json.dumps(json.loads(manifest("top", note)) | {"dependsOn": ["ground"]})
    capsule.apply(f"{top}\n---\n{manifest('ground', note)}", "--wait")
    capsule.until(lambda: all("ready" in capsule.good("logs", name) for name in ("top", "ground")), "they can be asked")
    capsule.stop()
    halt = [*capsule.inside, CAPSULED, "--state", str(capsule.state), "--halt"]
    halted = subprocess.run(halt, capture_output=True, text=True, check=True, env=capsule.environment, timeout=60)
    assert halted.stdout == "2 runs ended\n"
    capsule.start()
    ended = {name: float(capsule.good("logs", name, "--run", "1").split()[-1]) for name in ("top", "ground")}
    assert ended["top"] < ended["ground"]
    capsule.good("delete", "top", "ground", "--yes")


def test_what_depends_on_it_starts_once_it_is_healthy(capsule: Daemon) -> None:
    check = {"exec": ["test", "-e", "/tmp/well"], **QUICK, "startPeriod": "5m"}
    user = json.dumps(json.loads(manifest("user", SERVE)) | {"dependsOn": ["slow"]})
    capsule.apply(f"{user}\n---\n{manifest('slow', SERVE, health=check)}")
    capsule.until(lambda: capsule.status("slow").get("health") == "checking", "it runs")
    assert capsule.status("user")["message"] == "it waits for slow, which is not known to be healthy yet"
    capsule.good("exec", "slow", "touch", "/tmp/well")
    capsule.good("wait", "user", "slow", "--for", "healthy")
    healthy = capsule.history("slow", "--type", "workload.health_changed")[0]["seq"]
    assert int(healthy) < int(capsule.history("user", "--type", "workload.started")[0]["seq"])
    capsule.good("delete", "user", "slow", "--yes")

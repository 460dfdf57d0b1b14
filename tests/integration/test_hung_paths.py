"""A path of the machine whose server goes away: its workload waits for it, and nothing else does."""

from typing import Any

import pytest

from effects.containers.containerd_exec import START_S
from tests.support.daemon import SERVE, Daemon, daemon, manifest
from tests.support.hung import DEVICE, hung, hung_inside

pytestmark = [pytest.mark.real, pytest.mark.skipif(not DEVICE.exists(), reason="this machine lacks FUSE")]


def is_held_up(capsule: Daemon) -> bool:
    return "does not answer" in capsule.good("get", "web", "-o", "yaml")


def test_a_path_whose_server_is_away_holds_up_its_workload_and_no_daemon() -> None:
    with daemon() as capsule:
        capsule.push_image()
        share = capsule.scratch / "share"
        share.mkdir()
        capsule.apply(manifest("web", SERVE, hostBinds=[f"{share}:/data"]))
        capsule.until(lambda: capsule.status("web").get("pid"), "web runs")
        with hung(share):
            capsule.good("stop", "web")
            capsule.ctl("start", "web", "--timeout", "1s")
            capsule.until(lambda: is_held_up(capsule), "web says what it waits for")
            refused = capsule.ctl("apply", "-f", "-", stdin=manifest("other", SERVE, hostBinds=[f"{share}:/data"]))
            assert refused.returncode == 1 and f"{share} does not answer" in refused.stderr, refused
            capsule.apply(manifest("db", SERVE))
            capsule.until(lambda: capsule.status("db").get("pid"), "db runs beside it")
            assert capsule.stop() == 0
            capsule.start()
            capsule.good("delete", "db", "--yes")
            assert is_held_up(capsule)
        capsule.until(lambda: capsule.status("web").get("pid"), "web runs again", 120)
        assert capsule.stop() == 0


def test_a_check_in_a_directory_whose_server_went_away_fails_in_its_time_and_the_next_run_is_another() -> None:
    check = {"exec": ["true"], "interval": "500ms", "timeout": "1s", "retries": 2, "startPeriod": "0s"}
    with daemon() as capsule:
        capsule.push_image()
        capsule.apply(manifest("web", SERVE, workingDir="/tmp", health=check), "--wait")
        with hung_inside(capsule.status("web")["pid"], "/tmp"):
            capsule.until(lambda: healths(capsule) == ["healthy", "unhealthy"], "it is ill", START_S)
            capsule.until(lambda: healths(capsule)[2:] == ["healthy"], "the next one is well", 2 * START_S)
        (ill,) = [body for body in told(capsule) if body["health"] == "unhealthy"]
        assert (ill["message"], capsule.status("web")["run"]) == ("no answer within 1 s", 2)
        assert capsule.stop() == 0


def told(capsule: Daemon) -> list[dict[str, Any]]:
    return [event["body"] for event in capsule.history("web", "--type", "workload.health_changed")]


def healths(capsule: Daemon) -> list[str]:
    return [body["health"] for body in told(capsule)]

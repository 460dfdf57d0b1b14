"""A path of the machine whose server goes away: its workload waits for it, and nothing else does."""

import pytest

from tests.support.daemon import SERVE, Daemon, daemon, manifest
from tests.support.hung import DEVICE, hung

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

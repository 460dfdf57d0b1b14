"""`dependsOn` by the command line: a directory in any order, the page that shows it, circles, and ends in turn."""

import json
from pathlib import Path

import pytest

from tests.support.daemon import SERVE, Daemon, manifest

pytestmark = pytest.mark.real


def depending(name: str, *needs: str, script: str = SERVE) -> str:
    return json.dumps(json.loads(manifest(name, script)) | {"dependsOn": list(needs)})


def begun(capsule: Daemon, name: str) -> int:
    """The entry at which its first run was there."""
    return int(capsule.history(name, "--type", "workload.started")[0]["seq"])


def ended(capsule: Daemon, name: str) -> int:
    """The entry at which its last run was over."""
    return int(capsule.history(name, "--type", "workload.exited")[-1]["seq"])


def test_a_directory_is_applied_in_any_order_and_ends_in_the_other(capsule: Daemon, tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(depending("top", "middle"))
    (tmp_path / "2.yaml").write_text(depending("middle", "ground"))
    (tmp_path / "3.yaml").write_text(depending("ground"))
    capsule.good("apply", "-f", str(tmp_path), "--wait")
    assert begun(capsule, "ground") < begun(capsule, "middle") < begun(capsule, "top")
    assert "Depends on:  middle" in capsule.good("get", "top")
    shown = capsule.good("get", "top", "-o", "yaml")
    assert "unchanged" in capsule.good("apply", "-f", "-", stdin=shown)
    capsule.good("stop", "ground", "middle", "top", "--wait")
    assert ended(capsule, "top") < ended(capsule, "middle") < ended(capsule, "ground")
    capsule.good("delete", "ground", "middle", "top", "--yes")


def test_a_circle_is_refused_with_its_path(capsule: Daemon) -> None:
    both = f"{depending('hen', 'egg')}\n---\n{depending('egg', 'hen')}"
    refused = capsule.ctl("apply", "-f", "-", stdin=both)
    assert refused.returncode == 1 and "hen -> egg -> hen" in refused.stderr
    refused = capsule.ctl("apply", "-f", "-", stdin=depending("self", "self"))
    assert refused.returncode == 1 and "self depends on itself, and would never start: " in refused.stderr
    alone = capsule.ctl("apply", "-f", "-", stdin=depending("hen", "egg"))
    assert alone.returncode == 1 and "there is no such workload" in alone.stderr


def test_what_waits_says_for_whom_and_another_order_restarts_nothing(capsule: Daemon) -> None:
    capsule.apply(f"{depending('user', 'used')}\n---\n{depending('used')}", "--wait")
    capsule.good("stop", "used", "--wait")
    capsule.good("stop", "user", "--wait")
    capsule.good("start", "user")
    assert capsule.status("user")["message"] == "it waits for used, which is stopped"
    vain = capsule.ctl("wait", "user", "--timeout", "0")
    assert vain.returncode == 124 and "waits for used" in vain.stderr
    assert "workload/user reordered" in capsule.apply(depending("user"))
    capsule.good("wait", "user")
    run = capsule.status("user")["run"]
    capsule.good("start", "used", "--wait")
    assert "workload/user reordered" in capsule.apply(depending("user", "used"))
    assert capsule.status("user")["run"] == run
    capsule.good("delete", "user", "used", "--yes")

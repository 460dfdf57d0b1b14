"""Health by the command line: declared, explained, shown, waited for, and refused where it cannot be."""

from typing import Any

import pytest

from tests.support.daemon import SERVE, Daemon, manifest

pytestmark = pytest.mark.real

QUICK = {"interval": "200ms", "retries": 2, "startPeriod": "0s"}


def test_it_is_shown_waited_for_and_can_be_applied_again(capsule: Daemon) -> None:
    capsule.apply(manifest("checked", SERVE, health={"exec": ["true"], **QUICK}), "--wait")
    assert "Running (healthy)" in capsule.good("list")
    assert "checked" in capsule.good("list", "--phase", "healthy", "-o", "name").split()
    page = capsule.good("get", "checked")
    assert "Health:      healthy, for " in page and "exec: [true]" in page and "Healthy" in page
    shown = capsule.good("get", "checked", "-o", "yaml")
    assert "unchanged" in capsule.good("apply", "-f", "-", stdin=shown)
    capsule.good("wait", "checked", "--for", "healthy", "--timeout", "0")
    capsule.good("delete", "checked", "--yes")


def test_waiting_for_what_is_ill_is_in_vain_and_says_why(capsule: Daemon) -> None:
    ill = manifest("ill", SERVE, health={"exec": ["sh", "-c", 'echo s3c""ret; exit 9'], **QUICK}, restart="never")
    capsule.apply(ill)
    capsule.until(lambda: capsule.status("ill").get("health") == "unhealthy", "it is known to be ill")
    vain = capsule.ctl("apply", "-f", "-", "--wait", "--timeout", "3", stdin=ill)
    words = "ill is unhealthy (its check exited with code 9, having written 7 bytes); `capsulectl why ill` tells why"
    assert vain.returncode == 124 and words in vain.stderr
    capsule.good("wait", "ill", "--for", "running", "--timeout", "0")
    told = "is unhealthy: 2 failures in a row, the last: its check exited with code 9, having"
    assert told in capsule.good("events", "ill")
    assert "s3cret" not in capsule.good("history", "-o", "json"), "what a check writes stands in no entry"
    capsule.good("delete", "ill", "--yes")


@pytest.mark.parametrize(
    ("check", "problem", "code"),
    [
        ({}, "one of exec, http and tcp", 1),
        ({"exec": ["true"], "tcp": {"port": 1}}, "one of exec, http and tcp", 1),
        ({"tcp": {"port": 80}}, "on network NONE nobody reaches a port", 1),
        ({"exec": ["true"], "interval": "1ms"}, "between 100 ms and a day", 1),
        ({"exec": ["true"], "every": "1s"}, "container.health.every: unknown field", 2),
    ],
)
def test_what_cannot_be_checked_is_refused(capsule: Daemon, check: dict[str, Any], problem: str, code: int) -> None:
    refused = capsule.ctl("apply", "-f", "-", stdin=manifest("unchecked", SERVE, health=check))
    assert refused.returncode == code and problem in refused.stderr


def test_every_field_is_explained(capsule: Daemon) -> None:
    assert "Failures in a row" in capsule.good("explain", "Container.health.retries")

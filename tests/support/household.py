"""A small household for pictures and tests of the page: what a machine looks like on which something has happened.

Each workload is the demo image with another script; one of them has trouble of an ordinary kind.
"""

import json
from typing import Any

from tests.support.daemon import SERVE, Daemon

SAYS = """i=0; trap 'exit 0' TERM
while :; do i=$((i+1)); echo "GET /photos/$i 200 $((i % 7 + 2)) ms"; sleep 1 & wait $!; done"""


def container(name: str, script: str, depends_on: tuple[str, ...] = (), **fields: Any) -> str:
    """A manifest."""
    spec = {"image": "demo:1", "command": ["sh", "-c", script], "stopGraceSeconds": 1, **fields}
    return json.dumps({"name": name, "kind": "Container", "dependsOn": list(depends_on), "container": spec})


def tell(capsule: Daemon) -> None:
    """Live through it: about ten seconds."""
    for name, size in (("photos", "64MiB"), ("database", "32MiB")):
        capsule.good("volume", "create", name, size)
    capsule.apply(
        container("database", SERVE, networkMode="BRIDGE", mounts=[{"volumeName": "database", "mountPath": "/data"}]),
        "--wait",
    )
    capsule.apply(
        container(
            "photos", SAYS, ("database",), networkMode="BRIDGE",
            mounts=[{"volumeName": "photos", "mountPath": "/photos"}],
            ports=[{"containerPort": 80, "hostPort": 8080}],
        ),
        "--wait",
    )  # fmt: skip
    capsule.apply(
        container(
            "bridge-lamp", SERVE, networkMode="BRIDGE",
            health={"exec": ["sh", "-c", "true"], "intervalMs": 60_000},
        ),
        "--wait",
    )  # fmt: skip
    capsule.apply(container("backup", "echo 'nothing to do'; exit 0", restart={"mode": "never"}))
    capsule.good("volume", "snapshot", "database", "before-upgrade")
    capsule.apply(container("weather", SERVE, networkMode="BRIDGE"), "--wait")
    capsule.apply(
        container(
            "weather", "echo 'cannot reach the station: connection refused' >&2; exit 3", networkMode="BRIDGE",
            restart={"mode": "always", "backoffFirst": "300ms"},
        ),
    )  # fmt: skip
    capsule.until(lambda: capsule.status("weather").get("endsInARow", 0) >= 3, "weather ends again and again")
    capsule.good("stop", "database", "--wait")
    capsule.good("restart", "photos")
    capsule.until(lambda: capsule.status("photos").get("phaseDetail") == "waiting", "photos waits")
    capsule.good("start", "database", "--wait")
    capsule.good("wait", "photos", "--for", "running")
    capsule.until(lambda: capsule.status("weather").get("endsInARow", 0) >= 7, "weather is let rest for longer")

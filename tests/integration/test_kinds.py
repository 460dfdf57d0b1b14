"""Every example as it is written, and again with its kind flipped: an operator sees the same, but for what stands here.

One machine, one file after another: its workloads as containers, then as microVMs, on the same volumes and secrets.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.daemon import Daemon, daemon
from tests.support.site import site

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
THE_MACHINES = ("machine", "tracer")
"""What these are for is another's by name: a microVM is kept from the machine."""
WRITERS = ("hello", "counter", "api")
"""These write at once. A log that was read before it had a line would be like any other's beginning."""
INSIDE = """
id; pwd
grep printer /etc/hosts
env | grep -v -e HOSTNAME -e SHLVL -e _= -e PWD | sort
grep -e CapBnd -e NoNewPrivs /proc/self/status
grep -e 'core file' /proc/self/limits
ls -ln /run/secrets /srv/keys 2>/dev/null | grep token | sed 's/  */ /g' | cut -d' ' -f1,3,4,5
cat /srv/keys/token 2>/dev/null
df -k /dev/shm /tmp /cache 2>/dev/null | grep -e shm -e /tmp -e /cache | sed 's/  */ /g' | cut -d' ' -f1,2,6
touch /written 2>/dev/null && echo 'the root takes files'
true
"""
pytestmark = [pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")]


def manifests() -> Iterator[list[dict[str, Any]]]:
    """By file, without what is the machine's own."""
    for path in sorted(EXAMPLES.glob("*.yaml")):
        found = [one for one in yaml.safe_load_all(path.read_text()) if one["name"] not in THE_MACHINES]
        if any(one["kind"] == "Container" for one in found):
            yield found


def flipped(document: dict[str, Any]) -> dict[str, Any]:
    """As a microVM: it is always on the bridge, the machine's loopback is not its own, and it has no swap."""
    if document["kind"] != "Container":
        return document
    spec = {name: value for name, value in document["container"].items() if name != "networkMode"}
    spec["command"] = [word.removeprefix("127.0.0.1:") for word in spec.get("command", [])]
    spec["resources"] = {name: value for name, value in spec.get("resources", {}).items() if name != "swap"}
    rest = {name: value for name, value in document.items() if name != "container"}
    return rest | {"kind": "MicroVM", "microVm": spec}


def events(made: Daemon, name: str) -> list[str]:
    """What became of it since it was last declared."""
    types = [one["type"] for one in made.history(name)]
    newest = len(types) - types[::-1].index("workload.applied")
    return [one for one in types[newest:] if one.startswith("workload.")]


def logs(made: Daemon, name: str) -> list[str]:
    """Each line once, without its numbers: those are times, and how often something was started."""
    return sorted({re.sub(r"\d", "#", line) for line in made.good("logs", name).splitlines()})


def seen(made: Daemon, name: str) -> dict[str, Any]:
    """What an operator sees."""
    status = made.status(name)
    running = status["phase"] == "WORKLOAD_PHASE_RUNNING"
    if running:  # a microVM's payload does not wait for its agent
        made.until(lambda: made.ctl("exec", name, "true").returncode == 0, f"the agent in {name} answers", 150)
    return {
        "phase": status["phase"],
        "message": status.get("message", ""),
        "exit code": status.get("exitCode", 0),
        "health": status.get("health", ""),
        "events": events(made, name),
        "inside": made.good("exec", name, "--", "sh", "-c", INSIDE).splitlines() if running else [],
    }


def written(made: Daemon, name: str) -> list[str]:
    """What is compared with: of one that writes, once it has."""
    if name in WRITERS:
        made.until(lambda: logs(made, name), f"{name} has written something")
    return logs(made, name)


def until_said(made: Daemon, name: str, lines: list[str]) -> None:
    """What is written takes a moment to be there."""
    made.until(lambda: logs(made, name) == lines, f"{name} says {lines}")


def test_a_kind_that_is_flipped_changes_nothing_that_an_operator_sees() -> None:
    with site() as place, daemon(inside=place.inside) as made:
        made.push_image()
        made.good("secret", "create", "api-token", stdin="0123456789abcdef")
        ran: set[str] = set()
        for documents in manifests():
            names = [one["name"] for one in documents if one["kind"] == "Container"]
            found: list[dict[str, Any]] = []
            lines: dict[str, list[str]] = {}
            for kind in (documents, [flipped(one) for one in documents]):
                wanted = yaml.safe_dump_all(kind)
                made.good("apply", "-f", "-", "--wait", "--timeout", "150s", stdin=wanted, timeout=160)
                found.append({name: seen(made, name) for name in names})
                lines = lines or {name: written(made, name) for name in names}
                for name in names:
                    until_said(made, name, lines[name])
                made.good("delete", *names, "--yes", timeout=120)
                ran.update(names)
            assert found[0] == found[1]
        assert ran >= {*WRITERS}

"""A microVM's whole way: declared, run, adopted by a daemon that comes after a killed one, ended, and nothing left.

One is booted for most of it, and one more for each of its deaths.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsuled.host import cgroup_parent
from capsuled.identity import load_or_make_id
from capsuled.layout import hosted
from effects.microvms.guest_image import BUILT
from tests.support.daemon import CAPSULED, SERVE, Daemon, daemon
from tests.support.microvms import build_guest_image
from tests.support.site import site

pytestmark = [pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")]

BOOT_S = 180
"""For a boot without hardware virtualisation, on a machine that runs other tests, too."""


def manifest(name: str, script: str = SERVE, **fields: Any) -> str:
    machine = {"image": "demo:1", "command": ["sh", "-c", script], "stopGraceSeconds": 20, **fields}
    return json.dumps({"name": name, "kind": "MicroVM", "microVm": machine})


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    build_guest_image()
    with site() as place, daemon(inside=place.inside) as made:
        made.push_image()
        made.good("secret", "create", "token", "--from-file", "-", stdin="one")
        made.apply(manifest("vm", secrets=[{"secret": "token"}]))
        started(made, "vm", 0)
        yield made


def started(capsule: Daemon, name: str, last: int) -> int:
    """The monitor of a run that is another than the `last`."""
    capsule.until(lambda: capsule.status(name).get("pid", 0) not in (0, last), f"{name} runs", BOOT_S)
    pid: int = capsule.status(name)["pid"]
    return pid


def left(capsule: Daemon) -> list[str]:
    """What of any microVM of this capsule is still there; other daemons' are theirs."""
    layout = hosted(capsule.state)
    there = [*layout.machines.glob("*.agent"), *layout.machines.glob("*.power"), *layout.microvms.glob("*/*")]
    parent = cgroup_parent(load_or_make_id(layout.identity))
    groups = [*Path("/sys/fs/cgroup").glob(f"*{parent}/vm.*"), *Path(f"/sys/fs/cgroup{parent}").glob("vm.*")]
    return [str(path) for path in (*there, *groups)]


def test_what_it_writes_is_its_log_and_what_runs_it_is_told(capsule: Daemon) -> None:
    capsule.until(lambda: "ready" in capsule.good("logs", "vm"), "its output is its log", BOOT_S)
    row = capsule.data("list")["workloads"][0]
    assert row["status"]["accelerator"] in ("kvm", "tcg")
    assert "MicroVMs:  QEMU" in capsule.good("capsule", "info")
    assert any(path.startswith("/sys/fs/cgroup/") for path in left(capsule)), "while it runs it has its groups"


def test_it_outlives_a_killed_daemon(capsule: Daemon) -> None:
    pid = capsule.status("vm")["pid"]
    capsule.kill()
    assert Path(f"/proc/{pid}").exists()
    capsule.start()
    assert capsule.status("vm")["pid"] == pid
    starts = capsule.history("vm", "--type", "workload.started")
    assert len(starts) == 1


def test_a_killed_monitor_is_told_as_another_hands_work_and_begun_again(capsule: Daemon) -> None:
    pid = capsule.status("vm")["pid"]
    os.kill(pid, signal.SIGKILL)
    started(capsule, "vm", pid)
    (end,) = (event["body"] for event in capsule.history("vm", "--type", "workload.exited"))
    assert (end["exit_code"], end["fault"], end["foreign"]) == (137, "killed", True)


def test_a_kernel_of_the_operators_that_panics_says_so(capsule: Daemon) -> None:
    rootfs = capsule.scratch / "rootfs"
    rootfs.write_bytes(b"\0" * 4_096)
    kernel = {"kernelPath": str(BUILT / "vmlinux"), "rootfsPath": str(rootfs), "restart": "never"}
    own = {"name": "own", "kind": "MicroVM", "microVm": kernel}
    capsule.apply(json.dumps(own))
    capsule.until(lambda: capsule.history("own", "--type", "workload.exited"), "it panics", BOOT_S)
    (end,) = (event["body"] for event in capsule.history("own", "--type", "workload.exited"))
    assert end["fault"] == "panic" and "VFS: Unable to mount root fs" in end["fault_text"]
    assert "Kernel panic" in capsule.good("logs", "own", "--serial")
    for arguments in (("own",), ("own", "--serial")):
        told = [json.loads(line) for line in capsule.good("logs", *arguments, "-o", "json").splitlines()]
        assert any("Kernel panic" in one["text"] for one in told) and not any("time" in one for one in told)
        assert "ask for a tail" in capsule.ctl("logs", *arguments, "-t").stderr
    capsule.good("delete", "own", "--yes")


def test_it_ends_by_its_own_word_when_it_is_asked_and_a_deleted_one_leaves_nothing(capsule: Daemon) -> None:
    pid = capsule.status("vm")["pid"]
    assert capsule.good("exec", "vm", "--", "cat", "/run/secrets/token", timeout=BOOT_S) == "one"
    capsule.good("secret", "rotate", "token", "--from-file", "-", stdin="two")
    capsule.until(
        lambda: capsule.good("exec", "vm", "--", "cat", "/run/secrets/token") == "two", "it has the new value"
    )
    capsule.good("stop", "vm", "--wait", timeout=BOOT_S)
    ends = [event["body"] for event in capsule.history("vm", "--type", "workload.exited")]
    assert (ends[-1].get("exit_code", 0), ends[-1].get("fault")) == (0, None)
    capsule.good("delete", "vm", "--yes")
    assert not Path(f"/proc/{pid}").exists() and left(capsule) == []


def test_one_that_has_not_begun_its_program_is_ended_at_once(capsule: Daemon) -> None:
    capsule.apply(manifest("early"))
    monitors = hosted(capsule.state).microvms.glob
    capsule.until(lambda: list(monitors("early/*/*/monitor.json")), "its monitor is there")
    capsule.good("stop", "early", "--wait")
    told = [event["type"] for event in capsule.history("early")]
    assert "effect.abandoned" in told and "workload.started" not in told, "its guest was not waited for"
    capsule.good("delete", "early", "--yes")
    assert list(monitors("early/*")) == []


def test_a_halt_ends_it_without_a_daemon(capsule: Daemon) -> None:
    capsule.apply(manifest("vm"))
    pid = started(capsule, "vm", 0)
    capsule.kill()
    halt = [*capsule.inside, CAPSULED, "--state", str(capsule.state), "--halt"]
    subprocess.run(halt, check=True, capture_output=True)
    capsule.until_gone(pid)  # whoever inherited it hears of its end in his own time
    layout = hosted(capsule.state)
    assert not layout.machines.exists() and not list(layout.microvms.glob("*/*/*/monitor.json"))
    links = subprocess.run([*capsule.inside, "ls", "/sys/class/net"], check=True, capture_output=True, text=True)
    assert not [name for name in links.stdout.split() if name.startswith(("br", "v"))], "neither bridge nor TAP is left"

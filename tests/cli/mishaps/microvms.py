"""What a microVM runs on is in trouble: its monitor, its guest."""

import json
import os
import signal
from typing import Any

from tests.cli.mishaps.stage import Stage
from tests.support.daemon import SERVE
from tests.support.microvms import build_guest_image

BOOT_S = 180
"""For a boot without hardware virtualisation, on a machine that runs other tests, too."""
SILENT_S = 180
"""Until nobody waits any longer for an agent that has answered before."""


def _boots(stage: Stage, **fields: Any) -> int:
    """A microVM that serves, its agent too: the process of its monitor; not in the record."""
    build_guest_image()
    machine = {"image": "demo:1", "command": ["sh", "-c", SERVE], "restart": "NEVER", **fields}
    stage.apart("apply", "-f", "-", stdin=json.dumps({"name": "vm", "kind": "MicroVM", "microVm": machine}))
    stage.capsule.until(lambda: stage.capsule.status("vm").get("pid"), "it runs", BOOT_S)
    stage.capsule.until(lambda: "ready" in stage.capsule.good("logs", "vm"), "it serves", BOOT_S)
    stage.capsule.good("exec", "vm", "--", "true", timeout=BOOT_S)
    pid: int = stage.capsule.status("vm")["pid"]
    return pid


def monitor_killed(stage: Stage) -> None:
    """The process that a microVM runs in was killed."""
    os.kill(_boots(stage), signal.SIGKILL)
    stage.capsule.until(lambda: stage.capsule.status("vm").get("message"), "that is seen")
    stage.types("exec", "vm", "true")
    stage.types("why", "vm")


def guest_hung(stage: Stage) -> None:
    """A microVM's guest does nothing any more."""
    os.kill(_boots(stage), signal.SIGSTOP)
    stage.types("exec", "vm", "true")
    stage.capsule.until(lambda: stage.capsule.status("vm").get("message"), "it is ended", SILENT_S)
    stage.types("why", "vm")


MISHAPS = (monitor_killed, guest_hung)

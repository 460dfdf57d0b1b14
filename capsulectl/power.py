"""`capsulectl capsule reboot` and `capsule poweroff`."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from capsule.v1 import capsule_pb2 as pb
from capsule.v1 import power_pb2
from capsulectl.connection import Connection
from capsulectl.contexts import Target
from capsulectl.errors import TIMED_OUT, Failure
from capsulectl.options import COMMON, Common, Timeout, UntilUp, Yes
from capsulectl.prompt import confirm
from capsulectl.quantities import seconds_text
from capsulectl.render import say

POLL_S = 1.0
CALL_S = 3.0

T = TypeVar("T")


def reboot(*, yes: Yes = False, wait: UntilUp = True, timeout: Timeout = 300.0, common: Common = COMMON) -> None:
    """Start the machine anew: workloads end in their order, and come back.

    Example: capsulectl capsule reboot --yes
    """
    connection = Connection(common.capsule)
    before = connection.read(connection.capsule.GetInfo, pb.GetInfoRequest())
    confirm(f"{before.short_id} is started anew; {_running(before)}{_trial(before)}. Go on?", yes)
    answer = connection.call(connection.capsule.RebootNode, pb.RebootNodeRequest())
    say(answer.message or "the machine is started anew", common.quiet)
    if wait:
        after = until_back(connection.target, before.boot_id, timeout)
        ready = (
            f": its API answered {after.boot_ready_ms / 1000:.1f} s after the kernel began"
            if after.boot_ready_ms
            else ""
        )
        say(f"{after.short_id} is up again{ready}", common.quiet)


def poweroff(*, yes: Yes = False, common: Common = COMMON) -> None:
    """Switch the machine off: workloads end in their order first.

    Example: capsulectl capsule poweroff --yes
    """
    connection = Connection(common.capsule)
    before = connection.read(connection.capsule.GetInfo, pb.GetInfoRequest())
    confirm(f"{before.short_id} is switched off; {_running(before)}. Go on?", yes)
    answer = connection.call(connection.power.PowerOff, power_pb2.PowerOffRequest())
    say(answer.message or "the machine is switched off", common.quiet)


def _trial(info: pb.GetInfoResponse) -> str:
    """What becomes of a system that is on trial."""
    if not info.pending_slot:
        return ""
    return f". {info.pending_slot} is not confirmed: the system before, {info.last_version}, comes back"


def _running(info: pb.GetInfoResponse) -> str:
    number = info.objects.running
    return f"{number} workload{'' if number == 1 else 's'} run{'s' if number == 1 else ''} on it"


def until_back(target: Target, boot_id: str, timeout_s: float) -> Any:
    """The machine's word once it has booted, under another boot id. Raises Failure when it takes too long."""

    def booted(connection: Connection) -> Any:
        found = connection.read(connection.capsule.GetInfo, pb.GetInfoRequest(), timeout=CALL_S)
        return found if found.boot_id != boot_id and (found.boot_ready_ms or not found.boot_stages) else None

    after = until_answered(target, timeout_s, booted)
    if after is None:
        raise Failure(f"the machine is not up again after {seconds_text(timeout_s)}: look at its console", TIMED_OUT)
    return after


def until_answered(target: Target, timeout_s: float, ask: Callable[[Connection], T | None]) -> T | None:
    """What `ask` finds, once that is something; None when it takes too long. A failure is a machine on its way."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        try:
            found = ask(Connection(target))
        except Failure:
            continue
        if found is not None:
            return found
    return None

"""`capsulectl capsule reboot` and `capsule poweroff`."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from capsule.v1 import capsule_pb2 as pb
from capsule.v1 import power_pb2, update_pb2
from capsulectl.connection import Connection
from capsulectl.contexts import Target
from capsulectl.errors import TIMED_OUT, Failure, Impostor, NotLetIn
from capsulectl.options import COMMON, Common, Timeout, UntilUp, Yes
from capsulectl.prompt import confirm
from capsulectl.quantities import seconds_text
from capsulectl.render import say
from projections.update_words import system_text

POLL_S = 1.0
CALL_S = 3.0

T = TypeVar("T")


def reboot(*, yes: Yes = False, wait: UntilUp = True, timeout: Timeout = 300.0, common: Common = COMMON) -> None:
    """Start the machine anew: workloads end in their order, and come back.

    Example: capsulectl capsule reboot --yes
    """
    connection = Connection(common.capsule)
    before = connection.read(connection.capsule.GetInfo, pb.GetInfoRequest())
    after = "" if yes else _comes_up(connection, before)
    confirm(f"{before.short_id} is started anew; {_running(before)}{after}. Go on?", yes)
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
    after = "" if yes else _comes_up(connection, before)
    confirm(f"{before.short_id} is switched off; {_running(before)}{after}. Go on?", yes)
    answer = connection.call(connection.power.PowerOff, power_pb2.PowerOffRequest())
    say(answer.message or "the machine is switched off", common.quiet)


def _comes_up(connection: Connection, info: pb.GetInfoResponse) -> str:
    """Which system runs after this boot, where it is another one than now."""
    if info.pending_slot:
        return f". {info.pending_slot} is not confirmed: the system before, {info.last_version}, comes back"
    try:
        update = connection.read(connection.updates.Status, update_pb2.UpdateStatusRequest()).current
    except Failure:
        return ""  # whoever may reboot it need not know
    if update.phase != "armed":
        return ""
    system = system_text(update.version, update.commit)
    return f". Update {update.uid} waits for the next boot: {system} in {update.slot} comes up, on trial"


def _running(info: pb.GetInfoResponse) -> str:
    number = info.objects.running
    return f"{number} workload{'' if number == 1 else 's'} run{'s' if number == 1 else ''} on it"


def until_back(target: Target, boot_id: str, timeout_s: float, another: str = "") -> Any:
    """The machine's word once it has booted, under another boot id; `another` as `until_answered` has it. Raises
    Failure when it takes too long."""

    def booted(connection: Connection) -> Any:
        found = connection.read(connection.capsule.GetInfo, pb.GetInfoRequest(), timeout=CALL_S)
        return found if found.boot_id != boot_id and (found.boot_ready_ms or not found.boot_stages) else None

    vain = f"the machine is not up again after {seconds_text(timeout_s)}: look at its console"
    return until_answered(target, timeout_s, booted, vain, another)


def until_answered(
    target: Target, timeout_s: float, ask: Callable[[Connection], T | None], vain: str, another: str = ""
) -> T:
    """What `ask` finds, once that is something. A failure is a machine on its way, but for one that no waiting mends.
    `another`: where waiting mends another certificate, what that one is. Raises Failure: that one, or `vain` and what
    was met last, when it takes too long."""
    deadline = time.monotonic() + timeout_s
    met = ""
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        try:
            found = ask(Connection(target))
        except NotLetIn:
            raise
        except Impostor:
            if not another:
                raise
            met = another
        except Failure as failure:
            met = failure.message
        else:
            if found is not None:
                return found
            met = ""
    raise Failure(f"{vain}. What was met last: {met}" if met else vain, TIMED_OUT)

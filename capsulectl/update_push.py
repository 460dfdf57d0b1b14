"""`capsulectl update push`: the bundle goes over, the machine starts anew with it, and somebody keeps it."""

import time
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from cyclopts import Parameter

from capsule.v1 import capsule_pb2 as pb
from capsule.v1 import update_pb2
from capsulectl.connection import Connection
from capsulectl.contexts import Target
from capsulectl.errors import FAILED, USAGE, Failure, Impostor, NotLetIn
from capsulectl.files import file_to_send
from capsulectl.names import volume_names
from capsulectl.options import COMMON, DURATION, Common, Timeout, UntilUp, Yes
from capsulectl.power import until_answered
from capsulectl.progress import Show, bar
from capsulectl.prompt import confirm
from capsulectl.quantities import seconds_text
from capsulectl.render import say
from capsulectl.sending import send
from capsulectl.update import HOW_TO_KEEP, duration, health, why
from projections.update_words import system_text

_UNREAD = "what runs goes on, and the other slot may be written in part: push it again, whole"
CHUNK_BYTES = 1 << 20
PUSH_S = 3_600.0
CALL_S = 5.0
HEALTH_S = 3.0
SILENT_S = 30.0
"""So long a machine whose health is watched may leave questions unanswered."""


def push(
    bundle: Annotated[Path, Parameter(help="The bundle: update.tar, as `make image` writes it.")],
    /,
    *,
    auto_confirm: Annotated[
        float | None,
        DURATION,
        Parameter(
            name="--auto-confirm",
            show_default=False,
            help="Watch the new system's health for so long (60 or 60s, 2m), and confirm it when all was well.",
        ),
    ] = None,
    confirm_when: Annotated[
        Literal["healthy"] | None,
        Parameter(name="--confirm-when", help="Let the machine confirm it by itself, without this command."),
    ] = None,
    soak: Annotated[float, DURATION, Parameter(name="--soak", help="With --confirm-when: well for so long.")] = 60.0,
    window: Annotated[
        float,
        DURATION,
        Parameter(name="--window", help="How long the new system may run unconfirmed."),
    ] = 900.0,
    allow_downgrade: Annotated[
        bool, Parameter(name="--allow-downgrade", negative="", help="Also what is older than what runs, or the same.")
    ] = False,
    retry: Annotated[
        bool, Parameter(name="--retry", negative="", help="Also what was tried before and went back.")
    ] = False,
    snapshot: Annotated[
        list[str] | None,
        Parameter(
            name="--snapshot",
            negative="",
            completer=volume_names,
            help="Keep this volume as it is before the machine is started anew: for `update rollback --with-data`. "
            "May be given more than once.",
        ),
    ] = None,
    stay: Annotated[
        bool, Parameter(name="--stay", negative="", help="Leave the boot to the next reboot, whenever that is.")
    ] = False,
    wait: UntilUp = True,
    timeout: Timeout = 120.0,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Write a bundle into the other slot and start the machine anew with it, on trial: until it is confirmed, whatever
    ends that boot leads back to the system before. Prints the update's number.

    Example: capsulectl update push build/update.tar --auto-confirm 60s --yes
    """
    if auto_confirm is not None and (confirm_when or stay or not wait):
        raise Failure("--auto-confirm waits for the new system and confirms it: say nothing else beside it", USAGE)
    if auto_confirm is not None and auto_confirm >= window:
        words = f"--auto-confirm watches for longer than the new system may run unconfirmed ({duration(int(window))})"
        raise Failure(f"{words}: say a longer --window, too", USAGE)
    source, size = file_to_send(str(bundle))
    connection = Connection(common.capsule)
    before = connection.read(connection.updates.Status, update_pb2.UpdateStatusRequest())
    if not stay:
        running = system_text(before.version, before.commit)
        confirm(f"The machine, which runs {running}, is started anew with {bundle}. Go on?", yes)
    metadata = pb.UpdateOSMetadata(
        total_bytes=size,
        window_seconds=ceil(window),
        confirm_when_healthy=confirm_when == "healthy",
        soak_seconds=ceil(soak),
        allow_downgrade=allow_downgrade,
        retry=retry,
        stay=stay,
        snapshots=snapshot or (),
    )
    boot = connection.read(connection.capsule.GetInfo, pb.GetInfoRequest()).boot_id
    with bar(common.quiet) as show:
        messages = _messages(source, bundle.name, metadata, size, show)
        answer = send(connection, connection.capsule.UpdateOS, messages, str(bundle), timeout=PUSH_S, then=_UNREAD)
    new = system_text(answer.next_version, answer.next_commit)
    say(f"update {answer.uid}: {new} is in {answer.next_slot}, read back and whole", common.quiet)
    print(answer.uid)
    if answer.note:
        say(answer.note, common.quiet)
    if stay:
        say("the next reboot boots it, once: `capsulectl capsule reboot`", common.quiet)
    elif wait:
        _followed(connection.target, answer, boot, timeout, auto_confirm, common.quiet)


def _messages(
    source: BinaryIO, name: str, metadata: pb.UpdateOSMetadata, size: int, show: Show
) -> Iterator[pb.UpdateOSRequest]:
    yield pb.UpdateOSRequest(metadata=metadata)
    done = 0
    while piece := source.read(CHUNK_BYTES):
        yield pb.UpdateOSRequest(chunk=piece)
        done += len(piece)
        show(name, done, size, "reading it back" if done == size else "writing")


def _followed(
    target: Target, answer: Any, boot: str, timeout_s: float, auto_confirm_s: float | None, quiet: bool
) -> None:
    say("the machine starts anew", quiet)
    status = answering(target, answer, boot, timeout_s, auto_confirm_s is not None)
    say(f"{answer.next_slot} answers; it goes back in {duration(status.seconds_left)} unless confirmed", quiet)
    if auto_confirm_s is not None:
        if _watch(target, answer, auto_confirm_s):
            connection = Connection(target)
            connection.call(connection.capsule.UpdateConfirm, pb.UpdateConfirmRequest())
        say(f"update {answer.uid} is confirmed: {answer.next_slot} boots from now on", quiet)
    elif status.current.confirm_when != "healthy":
        say(HOW_TO_KEEP, quiet)


def until_booted(target: Target, boot: str, timeout_s: float, vain: str) -> Any:
    """Where things stand once the machine answers from another boot. Raises Failure, `vain` when nobody does."""

    def booted(connection: Connection) -> Any:
        if connection.read(connection.capsule.GetInfo, pb.GetInfoRequest(), timeout=CALL_S).boot_id == boot:
            return None
        return connection.read(connection.updates.Status, update_pb2.UpdateStatusRequest(), timeout=CALL_S)

    return until_answered(target, timeout_s, booted, vain)


def answering(target: Target, answer: Any, boot: str, timeout_s: float, confirms: bool = False) -> Any:
    """Where things stand once the machine answers from another boot. Raises Failure when it is back in the old system,
    with the reason, and when nobody answers. `confirms`: it was to be confirmed by this command."""
    status = until_booted(target, boot, timeout_s, _silent(timeout_s, confirms))
    if _is_over(answer, status):
        raise Failure(_went_back(answer, status), FAILED)
    return status


def _silent(timeout_s: float, confirms: bool) -> str:
    unwatched = ", and nobody confirms it now" if confirms else ""
    waited = f"nobody answers after {seconds_text(timeout_s)}{unwatched} (--timeout waits longer)"
    return (
        f"{waited}. `capsulectl update status` shows whether it came up, `capsulectl update confirm` keeps it; "
        "unconfirmed, the machine goes back by itself in time"
    )


def _is_over(answer: Any, status: Any) -> bool:
    """Its trial, and nobody has confirmed it. Its slot may run all the same, in place of one that cannot be loaded, or
    with an update that came after it."""
    other = status.HasField("current") and status.current.uid != answer.uid
    confirmed = status.HasField("last") and (status.last.uid, status.last.phase) == (answer.uid, "confirmed")
    tried = status.tentative and not other
    return bool(status.active_slot != answer.next_slot or not (tried or confirmed))


def _went_back(answer: Any, status: Any) -> str:
    uid, runs = answer.uid, status.active_slot
    last = status.last if status.HasField("last") and status.last.uid == uid else None
    said = f": {why(last)}" if last is not None and last.cause else ""
    became = f"is not kept, though {runs} runs" if runs == answer.next_slot else f"went back, {runs} runs"
    return f"update {uid} {became}{said}. `capsulectl postmortem {uid}` has more"


def _watch(target: Target, answer: Any, seconds: float) -> bool:
    """For so long all has to be well; what is not well at first may become so. False: somebody has confirmed it."""
    well_s, began = 0.0, time.monotonic()
    heard = began
    while well_s < seconds:
        time.sleep(min(HEALTH_S, max(0.1, seconds - well_s)))
        try:
            connection = Connection(target)
            status = connection.read(connection.updates.Status, update_pb2.UpdateStatusRequest(), timeout=CALL_S)
        except (NotLetIn, Impostor):
            raise
        except Failure:
            if time.monotonic() - heard > SILENT_S:
                raise
            continue
        heard = time.monotonic()
        if _is_over(answer, status):
            raise Failure(_went_back(answer, status), FAILED)
        if not status.tentative:
            return False
        well_s = min(time.monotonic() - began, float(status.healthy_seconds)) if status.judged else 0.0
        if not status.seconds_left:
            raise Failure(f"update {answer.uid} goes back, its time is over: {health(status)}", FAILED)
    return True

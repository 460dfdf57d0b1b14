"""`capsulectl update …`: where updates stand, and the operator's word on them."""

from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import capsule_pb2
from capsule.v1 import update_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.contexts import Target
from capsulectl.errors import FAILED, Failure
from capsulectl.moments import At, as_of
from capsulectl.options import COMMON, Common, DryRun, Output, Timeout, UntilUp, Yes
from capsulectl.prompt import confirm as ask
from capsulectl.quantities import seconds_text
from capsulectl.render import moment, plain, say, show_table, write, write_items
from projections.causes import WORDS
from projections.update_words import system_text

ROLLBACK_S = 600.0
"""The slot is read first, where it is known what was written there."""
TRIED = ("staged", "arming", "armed")
"""What a rollback leaves an update in that is a trial of the system before."""
HOW_TO_KEEP = "`capsulectl update status` shows how it is, `capsulectl update confirm` keeps it"


def status(*, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """Show what runs, what is to be confirmed and until when, and what the health gate says.

    Example: capsulectl update status
    """
    connection = Connection(common.capsule)
    if at:
        answer = updates_then(connection, at, common.quiet).update_status
    else:
        answer = connection.read(connection.updates.Status, pb.UpdateStatusRequest())
    if output in ("json", "yaml"):
        write(plain(answer), output)
        return
    if output == "name":
        print(answer.active_slot)
        return
    lines = [(name, value) for name, value in _lines(answer) if value]
    width = max(len(name) for name, _ in lines) + 2
    print("\n".join(f"{name + ':':<{width}}{value}" for name, value in lines))


def updates_then(connection: Connection, at: str, quiet: bool, *only: str) -> Any:
    """The machine at that moment, `only` these fields and where updates stood. Raises Failure where it had no slots."""
    past = as_of(connection, at, quiet, "update_status", *only)
    if not past.HasField("update_status"):
        raise Failure("no slots are known of then: the machine ran hosted, or had not booted one yet")
    return past


def _lines(answer: pb.UpdateStatus) -> tuple[tuple[str, str], ...]:
    other = system_text(answer.other_version, answer.other_commit) if answer.other_version else ""
    current = answer.current if answer.HasField("current") else None
    last = answer.last if answer.HasField("last") else None
    return (
        ("Runs", f"{system_text(answer.version, answer.commit)} in {answer.active_slot}"),
        ("Next boot", _next(answer)),
        ("Update", "" if current is None else f"{current.uid}: {current.phase}, {_systems(current)}"),
        ("Goes back", f"in {duration(answer.seconds_left)}, unless it is confirmed" if answer.tentative else ""),
        ("Health", health(answer)),
        ("Kept volumes", "" if current is None else _kept(current)),
        ("Confirmed", _by_itself(current)),
        ("Other slot", other),
        ("Last update", "" if last is None else f"{last.uid}: {_outcome(last)}"),
        ("Note", answer.note),
    )


def _kept(update: pb.OSUpdate) -> str:
    return f"{', '.join(update.snapshots)}, as {update.snapshot}" if update.snapshots else ""


def _next(answer: pb.UpdateStatus) -> str:
    """Where that is not what runs."""
    if answer.HasField("current") and answer.current.phase == "armed":
        return f"{answer.current.slot}, once"
    return answer.default_slot if answer.default_slot != answer.active_slot else ""


def _systems(update: pb.OSUpdate) -> str:
    old, new = system_text(update.from_version, update.from_commit), system_text(update.version, update.commit)
    return f"{old} → {new}"


def _by_itself(update: pb.OSUpdate | None) -> str:
    if update is None or update.confirm_when != "healthy":
        return ""
    return f"by itself, once all has been well for {duration(update.soak_seconds)}"


def health(answer: pb.UpdateStatus) -> str:
    """What the health gate says; empty where it is not asked."""
    if not answer.tentative:
        return ""
    if answer.failing:
        return "; ".join(f"{one.name}: {one.message}" for one in answer.failing)
    return f"all has been well for {duration(answer.healthy_seconds)}" if answer.judged else "not judged yet"


def duration(seconds: int) -> str:
    """12 min 5 s."""
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def confirm(*, common: Common = COMMON) -> None:
    """Keep the system that runs on trial: it boots from now on.

    Example: capsulectl update confirm
    """
    connection = Connection(common.capsule)
    answer = connection.call(connection.capsule.UpdateConfirm, capsule_pb2.UpdateConfirmRequest())
    say(f"update {answer.uid} is confirmed: {answer.committed_slot} boots from now on", common.quiet)
    if answer.note:
        say(answer.note, common.quiet)
    print(f"{answer.committed_slot}  {answer.committed_version}")


def rollback(
    *,
    with_data: Annotated[
        bool,
        Parameter(
            name="--with-data",
            negative="",
            help="The volumes that `update push --snapshot` kept, too: as they were then. What they have is kept.",
        ),
    ] = False,
    allow_freeze: Annotated[
        bool,
        Parameter(
            name="--allow-freeze",
            negative="",
            help="Also, with --yes, to a system that cannot read what was written since, and starts nothing.",
        ),
    ] = False,
    dry_run: DryRun = False,
    wait: UntilUp = True,
    timeout: Timeout = 300.0,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Go back to the system before: from one on trial at once, from one that was confirmed by a trial of the old one.
    An update that waits for its boot is dropped. Workloads and volumes stay as they are.

    Example: capsulectl update rollback --yes
    """
    connection = Connection(common.capsule)
    asked = pb.UpdateRollbackRequest(with_data=with_data, dry_run=True)
    would = connection.call(connection.updates.Rollback, asked, timeout=ROLLBACK_S)
    if dry_run:
        print(would.message)
        return
    ask(f"{would.message[:1].upper()}{would.message[1:]} Go on?", yes)
    # Whoever was asked was told; whoever said yes beforehand has to say that, too.
    request = pb.UpdateRollbackRequest(with_data=with_data, allow_freeze=allow_freeze or not yes)
    boot = connection.read(connection.capsule.GetInfo, capsule_pb2.GetInfoRequest()).boot_id if wait else ""
    answer = connection.call(connection.updates.Rollback, request, timeout=ROLLBACK_S)
    say(answer.message, common.quiet)
    after = _after(answer.update)
    if after and not wait:
        say(after, common.quiet)
    print(answer.update.uid, flush=True)  # before the waiting, also where it is no terminal
    if after and wait:
        _followed(connection.target, answer.update, boot, timeout, common.quiet)


def _after(update: pb.OSUpdate) -> str:
    """What to do once a rollback has happened; empty where it is over with the answer."""
    if update.phase == "returning":
        return "`capsulectl update status` shows what runs, once the machine is up again"
    return f"once the machine is up again, {HOW_TO_KEEP}" if update.phase in TRIED else ""


def _followed(target: Target, update: pb.OSUpdate, boot: str, timeout_s: float, quiet: bool) -> None:
    """Say which system runs once the machine is up again. Raises Failure when it is not the one before."""
    from capsulectl.update_push import answering, until_booted

    if update.phase in TRIED:
        tried = capsule_pb2.UpdateOSResponse(uid=update.uid, next_slot=update.slot)
        status = answering(target, tried, boot, timeout_s)
    else:
        vain = f"nobody answers after {seconds_text(timeout_s)} (--timeout waits longer). {_after(update)}"
        status = until_booted(target, boot, timeout_s, vain)
    runs = f"{system_text(status.version, status.commit)} runs in {status.active_slot}"
    if update.phase not in TRIED and status.active_slot == update.slot:
        raise Failure(f"update {update.uid} did not go back: {runs} still", FAILED)
    left = f"; it goes back in {duration(status.seconds_left)} unless confirmed" if status.tentative else ""
    say(f"{runs}{left}", quiet)
    if status.tentative:
        say(HOW_TO_KEEP, quiet)


def history(*, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """List updates, the newest last, with what became of each and why.

    Example: capsulectl update history -o wide
    """
    connection = Connection(common.capsule)
    if at:
        updates = updates_then(connection, at, common.quiet, "updates").updates
    else:
        updates = connection.read(connection.updates.List, pb.UpdateListRequest()).updates
    if write_items(updates, output, lambda one: str(one.uid)):
        return
    wide = output == "wide"
    heads = ("UPDATE", "BEGUN", "SLOT", "FROM", "TO", "OUTCOME", *(("SIGNED BY", "KEPT", "BOOT") if wide else ()))
    show_table(heads, [_row(one, wide) for one in updates], cut=not wide)


def _row(update: Any, wide: bool) -> tuple[str, ...]:
    more = (update.signed_by[:12], _kept(update), update.boot_id) if wide else ()
    return (
        str(update.uid),
        moment(update.begun_at_unix_ns),
        update.slot,
        system_text(update.from_version, update.from_commit),
        system_text(update.version, update.commit),
        _outcome(update),
        *more,
    )


def _outcome(update: pb.OSUpdate) -> str:
    if update.phase != "rolled-back":
        return update.phase + (f": {update.message}" if update.message else "")
    return f"rolled back: {why(update)}" + (" (likely)" if update.confidence == "likely" else "")


def why(update: pb.OSUpdate) -> str:
    """Its cause in words; as it came, where it is none of ours; empty where there is none."""
    return next((words for cause, words in WORDS.items() if cause == update.cause), update.cause)

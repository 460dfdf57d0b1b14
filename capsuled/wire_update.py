"""Updates of the system as clients see them, and the keys that sign them. Pure."""

from capsule.v1 import update_pb2 as pb
from projections.state import Machine, Update, UpdateKey
from projections.update_phases import ENDS
from projections.updates import current, fallback, on_trial


def update_status(machine: Machine, mono_ns: int, version: str, commit: str) -> pb.UpdateStatus:
    """Where updates stand; `version` and `commit` are of the system that runs."""
    update, trial, before = current(machine), on_trial(machine), fallback(machine)
    last = next((one for one in reversed(machine.updates.values()) if one.phase in ENDS), None)
    left_ns = healthy_ns = 0
    if trial is not None:
        left_ns = 0 if trial.deadline is None else max(0, trial.deadline.mono_ns - mono_ns)
        healthy_ns = mono_ns - trial.well_since_mono if trial.well_since_mono else 0
    return pb.UpdateStatus(
        active_slot=machine.slots.active,
        default_slot=machine.slots.default,
        version=version,
        commit=commit,
        tentative=machine.slots.tentative,
        seconds_left=left_ns // 1_000_000_000,
        current=None if update is None else update_message(update),
        failing=[pb.UpdateCheck(name=name, message=message) for name, message in trial.failing] if trial else (),
        judged=trial is not None and trial.judged,
        healthy_seconds=healthy_ns // 1_000_000_000,
        last=None if last is None else update_message(last),
        other_version=_other(machine, before)[0],
        other_commit=_other(machine, before)[1],
    )


def update_status_then(machine: Machine) -> pb.UpdateStatus | None:
    """The same of a state of the past, by its own last reading of the clock; None where no slots are known of."""
    if not machine.slots.active:
        return None
    trial, mono_ns = on_trial(machine), machine.mono_ns
    if trial is not None and trial.deadline is not None and trial.deadline.boot != machine.mono_boot:
        mono_ns = trial.deadline.mono_ns
    version, _, commit = machine.slots.release.partition(" ")
    return update_status(machine, mono_ns, version, commit)


def _other(machine: Machine, before: Update | None) -> tuple[str, str]:
    trial = on_trial(machine)
    if trial is not None:
        return trial.from_version, trial.from_commit
    return ("", "") if before is None else (before.from_version, before.from_commit)


def update_message(update: Update) -> pb.OSUpdate:
    """An update as clients see it."""
    return pb.OSUpdate(
        uid=update.uid,
        phase=update.phase.value,
        kind=update.kind,
        slot=update.slot,
        version=update.version,
        commit=update.commit,
        from_version=update.from_version,
        from_commit=update.from_commit,
        begun_at_unix_ns=update.begun_at,
        ended_at_unix_ns=update.ended_at,
        size_bytes=update.size_bytes,
        signed_by=update.signed_by,
        confirm_when=update.confirm_when,
        window_seconds=update.window_s,
        soak_seconds=update.soak_s,
        cause=update.cause or "",
        confidence=update.confidence or "",
        message=update.message,
        boot_id=update.boot,
        snapshots=update.keeps,
        snapshot=update.snapshot,
    )


def update_key_message(key: UpdateKey) -> pb.UpdateKey:
    """A key that signs bundles as clients see it."""
    return pb.UpdateKey(kid=key.kid, name=key.name, added_at_unix_ns=key.added_at)

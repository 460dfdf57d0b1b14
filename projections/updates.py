"""Updates of the system: what each of them came to, and which slot is what.

An entry that does not fit the phase of its update changes nothing: what a recovered fact says may have been said.
"""

from collections.abc import Iterable, Iterator
from itertools import takewhile

from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    BootStarted,
    Event,
    JournalRestored,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateHealthChanged,
    UpdateKeyEnrolled,
    UpdateKeyRemoved,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    type_of,
)
from projections.handlers import Handlers
from projections.state import Deadline, Machine, Slots, Update, UpdateKey
from projections.update_phases import ENDS, ON_TRIAL, UpdateMove, UpdatePhase, advance, can

KEPT = 20
"""So many updates are remembered in the state, and those that something still depends on; `history` has all of them."""
SPARED = 2
"""So many updates are confirmed, the next one and the one after it, until the snapshots of one go."""

NO_FAULT = frozenset({"operator", "power-lost", "never-booted"})
"""Causes that say nothing against the system that was tried."""


def current(machine: Machine) -> Update | None:
    """The update that is under way; None when none is."""
    return next((one for one in reversed(machine.updates.values()) if one.phase not in ENDS), None)


def on_trial(machine: Machine) -> Update | None:
    """The update whose system runs unconfirmed; None when what runs is here to stay."""
    update = current(machine)
    return update if update is not None and update.phase in ON_TRIAL else None


def unconfirmed(machine: Machine) -> bool:
    """Whether what runs is on trial: the other slot's system may have to read what it leaves."""
    return on_trial(machine) is not None or machine.slots.tentative


def earlier_failure(machine: Machine, version: str, commit: str) -> Update | None:
    """The last update by which this very system was tried and was no good; None where it has been confirmed since."""
    for update in reversed(machine.updates.values()):
        if (update.version, update.commit) != (version, commit):
            continue
        if update.phase is P.CONFIRMED:
            return None
        if update.phase is P.ROLLED_BACK and update.cause not in NO_FAULT:
            return update
    return None


def fallback(machine: Machine) -> Update | None:
    """The update by which the other slot came to hold a system that this machine ran: its `from_` fields say which.
    None where nothing good is known to be there, as on a machine that took the memory over and has had none since."""
    for update in reversed(machine.updates.values()):
        if not update.from_slot:
            return None
        if update.phase is P.CONFIRMED:
            return update
        if update.kind == "push":
            return None
    return None


def above_level(machine: Machine, events: Iterable[Event]) -> str:
    """The type of the first of these that the system before could not act on, while the present one is on trial: it
    would freeze when the machine goes back. Empty where there is none. What takes the memory over ends a trial that was
    another machine's."""
    trial = on_trial(machine) if machine.slots.tentative else None
    if trial is None or not trial.from_level:
        return ""
    level = dict(trial.from_level)
    events = takewhile(lambda one: not isinstance(one, JournalRestored), events)
    above = (one for one in events if one.EFFECT == "must" and level.get(type_of(one), 0) < one.VERSION)
    return next((type_of(one) for one in above), "")


P, M = UpdatePhase, UpdateMove
LEFT_BEHIND = "it was under way when another machine took the memory over"


def _moved(machine: Machine, header: Header, uid: int, move: UpdateMove) -> Update | None:
    """The update after the move, to be added to; None where it has no such move."""
    update = machine.updates.get(uid)
    if update is None or not can(update.phase, move):
        return None
    phase = advance(update.phase, move)
    ended_at = header.at if phase in ENDS else update.ended_at
    moved = machine.updates[uid] = replace(update, phase=phase, seq=header.seq, ended_at=ended_at)
    return moved


def begun(machine: Machine, header: Header, event: UpdateBegun) -> None:
    """One more. The oldest is forgotten; and what can be written for the system in the other slot, once another one
    takes its place."""
    uid = event.uid or header.seq
    if event.uid in machine.updates:
        return  # what was noted beside the journal was read in by a life that ended before it forgot that
    if event.kind == "push":
        for earlier, before in machine.updates.items():
            if before.from_level:
                machine.updates[earlier] = replace(before, from_level=())
    machine.updates[uid] = Update(
        uid=uid,
        slot=event.slot,
        version=event.version,
        commit=event.commit,
        built=event.built,
        from_slot=event.from_slot,
        from_version=event.from_version,
        from_commit=event.from_commit,
        phase=P.STAGED if event.kind == "rollback" else P.STAGING,
        begun_at=header.at,
        seq=header.seq,
        kind=event.kind,
        signed_by=event.signed_by,
        size_bytes=event.size_bytes,
        from_level=event.from_level,
        window_s=event.window_s,
        confirm_when=event.confirm_when,
        soak_s=event.soak_s,
        downgrade=event.downgrade,
        retried=event.retried,
        keeps=event.keeps,
        snapshot=event.snapshot,
        data_of=event.data_of,
    )
    _forget(machine)


def _forget(machine: Machine) -> None:
    """The oldest that nothing depends on. The last confirmed ones are what can be gone back to, and until when the
    snapshots of older ones are kept; those are nobody's without their update."""
    if len(machine.updates) <= KEPT:
        return
    needed = [one.uid for one in machine.updates.values() if one.phase is P.CONFIRMED][-SPARED:]
    needed += [one.uid for one in machine.updates.values() if any(keeps(machine, one))]
    needed.append(next(reversed(machine.updates)))
    over = [uid for uid in machine.updates if uid not in needed][: len(machine.updates) - KEPT]
    for uid in over:
        del machine.updates[uid]


def keeps(machine: Machine, update: Update) -> Iterator[str]:
    """The volumes of which there is the snapshot that was taken for this update."""
    for name in update.keeps:
        volume = machine.volumes.get(name)
        if volume is not None and any(one.label == update.snapshot and not one.leaving for one in volume.snapshots):
            yield name


def staged(machine: Machine, header: Header, event: UpdateStaged) -> None:
    """The slot can be booted. Before it was written the one beside it was made what boots by itself."""
    update = _moved(machine, header, event.uid, M.STAGE)
    if update is not None:
        machine.slots = replace(machine.slots, default=update.from_slot)
        machine.updates[event.uid] = replace(
            update,
            boot_sha256=event.boot_sha256,
            root_sha256=event.root_sha256,
            boot_bytes=event.boot_bytes,
            root_bytes=event.root_bytes,
        )


def staging_failed(machine: Machine, header: Header, event: UpdateStagingFailed) -> None:
    """The slot cannot be booted."""
    update = _moved(machine, header, event.uid, M.FAIL)
    if update is not None:
        machine.slots = replace(machine.slots, default=event.default_slot or machine.slots.default)
        machine.updates[event.uid] = replace(update, message=event.message)


def arming(machine: Machine, header: Header, event: UpdateArming) -> None:
    """What is so now shall be so afterwards."""
    update = _moved(machine, header, event.uid, M.ARM)
    if update is not None:
        machine.updates[event.uid] = replace(update, uplink=event.uplink, running=event.running)


def armed(machine: Machine, header: Header, event: UpdateArmed) -> None:
    """The next boot is the new system's."""
    _moved(machine, header, event.uid, M.ARMED)


def disarmed(machine: Machine, header: Header, event: UpdateDisarmed) -> None:
    """It will not be booted."""
    update = _moved(machine, header, event.uid, M.DISARM)
    if update is not None:
        machine.updates[event.uid] = replace(update, message=event.message)


def boot_started(machine: Machine, header: Header, event: BootStarted) -> None:
    """Which slot is what; and the update whose system this is, is on trial. Of an earlier boot, which is told by one
    that could write again, only that."""
    if event.boot in ("", header.boot):
        machine.slots = Slots(event.slot, event.default_slot, event.tentative, event.release)
    update = _moved(machine, header, event.uid, M.BOOT) if event.tentative else None
    if update is not None:
        boot = event.boot or header.boot
        deadline = Deadline(boot, event.deadline_mono_ns)
        machine.updates[event.uid] = replace(update, boot=boot, deadline=deadline)


def health_changed(machine: Machine, header: Header, event: UpdateHealthChanged) -> None:
    """What fails now, and since when nothing does."""
    update = machine.updates.get(event.uid)
    if update is not None and update.phase in ON_TRIAL:
        well_since = 0 if event.failing else header.mono
        failing = tuple((one.name, one.message) for one in event.failing)
        machine.updates[event.uid] = replace(update, failing=failing, well_since_mono=well_since, judged=True)


def confirming(machine: Machine, header: Header, event: UpdateConfirming) -> None:
    """It shall stay; or it is found to do so already."""
    _moved(machine, header, event.uid, M.FIND if event.how == "by-hand" else M.CONFIRM)


def confirmed(machine: Machine, header: Header, event: UpdateConfirmed) -> None:
    """It stays."""
    update = _moved(machine, header, event.uid, M.CONFIRMED)
    if update is not None:
        machine.slots = replace(machine.slots, default=event.slot, tentative=False)
        machine.updates[event.uid] = replace(update, deadline=None)


def returning(machine: Machine, header: Header, event: UpdateReturning) -> None:
    """The next boot is the old system's."""
    update = _moved(machine, header, event.uid, M.RETURN)
    if update is not None:
        machine.updates[event.uid] = replace(
            update, cause=event.cause, message=event.message, with_data=event.with_data
        )


def rolled_back(machine: Machine, header: Header, event: UpdateRolledBack) -> None:
    """The old system runs."""
    update = _moved(machine, header, event.uid, M.ROLL_BACK)
    if update is not None:
        machine.updates[event.uid] = replace(
            update,
            cause=event.cause,
            message=event.message,
            confidence=event.confidence,
            deadline=None,
            boot=event.boot or update.boot,
        )


def left_behind(machine: Machine, header: Header) -> None:
    """The memory is another machine's from now on, whose slots hold what they hold: nothing of what went on in the ones
    before is under way, and nothing there can be gone back to."""
    machine.slots = Slots()
    for uid, before in machine.updates.items():
        update = _moved(machine, header, uid, M.LEAVE) or before
        message = before.message if update is before else LEFT_BEHIND
        machine.updates[uid] = replace(update, from_slot="", deadline=None, message=message)


def key_enrolled(machine: Machine, header: Header, event: UpdateKeyEnrolled) -> None:
    """Bundles are signed from now on."""
    machine.update_keys[event.kid] = UpdateKey(event.kid, event.public_key, event.name, header.at, header.seq)


def key_removed(machine: Machine, header: Header, event: UpdateKeyRemoved) -> None:
    """It signs nothing any more."""
    machine.update_keys.pop(event.kid, None)


HANDLERS: Handlers = {
    BootStarted: boot_started,
    UpdateBegun: begun,
    UpdateStaged: staged,
    UpdateStagingFailed: staging_failed,
    UpdateArming: arming,
    UpdateArmed: armed,
    UpdateDisarmed: disarmed,
    UpdateHealthChanged: health_changed,
    UpdateConfirming: confirming,
    UpdateConfirmed: confirmed,
    UpdateReturning: returning,
    UpdateRolledBack: rolled_back,
    UpdateKeyEnrolled: key_enrolled,
    UpdateKeyRemoved: key_removed,
}

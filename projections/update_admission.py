"""Admission of updates: what may be written into the other slot, what may stay, and what there is to go back to. Pure.

The rule behind the rules: at every moment one slot holds a system that this machine has run and that the boot loader
boots by itself. So nothing is written while what runs is unconfirmed, for the other slot is then the way back.
"""

from typing import assert_never

from journal.events import (
    Event,
    UpdateBegun,
    UpdateConfirming,
    UpdateKeyEnrolled,
    UpdateKeyRemoved,
    UpdateReturning,
)
from projections.causes import WORDS
from projections.ed25519 import is_public_key
from projections.refusals import Refusal, conflict, invalid, missing, refused
from projections.state import Machine, Update
from projections.update_data import check_keeps, check_with_data
from projections.update_intents import (
    AddUpdateKey,
    BeginUpdate,
    ConfirmUpdate,
    Level,
    RemoveUpdateKey,
    RollBackUpdate,
    System,
    UpdateIntent,
)
from projections.update_phases import ON_TRIAL, UpdatePhase
from projections.update_words import system_text
from projections.updates import current, earlier_failure, fallback, on_trial

WINDOW_LEAST_S, WINDOW_MOST_S = 60, 7 * 86_400
SOAK_MOST_S = 86_400
KEYS_MAX = 16
NAME_CHARS = 128


def admit_update(machine: Machine, call: UpdateIntent) -> tuple[Event, ...] | Refusal:
    """The events of the call, none where all was so already, or why it is refused."""
    match call:
        case BeginUpdate():
            return _begin(machine, call)
        case ConfirmUpdate():
            return _confirm(machine)
        case RollBackUpdate():
            return _roll_back(machine, call)
        case AddUpdateKey():
            return _add_key(machine, call)
        case RemoveUpdateKey():
            if call.kid not in machine.update_keys:
                return missing(
                    "KEY_NOT_FOUND", "no such key is enrolled: `capsulectl update key list` shows those", "kid"
                )
            return (UpdateKeyRemoved(call.kid),)
        case _:
            assert_never(call)


def _begin(machine: Machine, call: BeginUpdate) -> tuple[Event, ...] | Refusal:
    bad = (
        _check_times(call)
        or _check_free(machine)
        or _check_signer(machine, call)
        or _check_order(call)
        or _check_level(unread(call.written, call.reads))
        or check_keeps(machine, call.keeps, call.snapshot)
    )
    if bad is not None:
        return bad
    failed = earlier_failure(machine, call.new.version, call.new.commit)
    if failed is not None and not call.retry:
        why = WORDS[failed.cause] if failed.cause is not None else WORDS["unknown"]
        why += f" ({failed.message})" if failed.message else ""
        return conflict(
            "FAILED_BEFORE",
            f"{system_text(call.new.version, call.new.commit)} was tried in update {failed.uid} and went back: {why}. "
            f"`capsulectl postmortem {failed.uid}` has more; `--retry` tries it again",
        )
    return (
        UpdateBegun(
            slot=_other(machine),
            version=call.new.version,
            commit=call.new.commit,
            built=call.new.built,
            from_slot=machine.slots.active,
            from_version=call.running.version,
            from_commit=call.running.commit,
            signed_by=call.signed_by,
            size_bytes=call.size_bytes,
            from_level=call.level,
            window_s=call.window_s,
            confirm_when=call.confirm_when,
            soak_s=call.soak_s,
            downgrade=order_of(call.new) < order_of(call.running),
            retried=0 if failed is None else failed.uid,
            keeps=call.keeps,
            snapshot=call.snapshot,
        ),
    )


def _other(machine: Machine) -> str:
    return "slot_a" if machine.slots.active == "slot_b" else "slot_b"


def _check_times(call: BeginUpdate) -> Refusal | None:
    if not WINDOW_LEAST_S <= call.window_s <= WINDOW_MOST_S:
        words = f"a new system may run unconfirmed for {WINDOW_LEAST_S} seconds to 7 days"
        return invalid("BAD_WINDOW", words, "metadata.window_seconds")
    if call.confirm_when == "healthy" and not 0 <= call.soak_s <= min(SOAK_MOST_S, call.window_s - 1):
        words = "it is to be healthy for less time than it may run unconfirmed, and a day at most"
        return invalid("BAD_SOAK", words, "metadata.soak_seconds")
    return None


def _check_free(machine: Machine) -> Refusal | None:
    """Whether the other slot may be written."""
    update = current(machine)
    if (bad := _check_known(machine)) is not None:
        return bad
    if update is None:
        return None
    if update.phase is UpdatePhase.RETURNING:
        return _returns(update, "push again then")
    if update.phase in ON_TRIAL:
        return conflict(
            "TENTATIVE",
            "what runs is not confirmed, and the other slot is the way back: `capsulectl update confirm` or "
            "`capsulectl update rollback` first",
        )
    if update.phase in (UpdatePhase.ARMING, UpdatePhase.ARMED):
        return conflict(
            "UPDATE_WAITS",
            f"update {update.uid} waits for its boot: `capsulectl capsule reboot` boots it, "
            "`capsulectl update rollback` drops it",
        )
    return _runs(update)


def _runs(update: Update) -> Refusal:
    if update.kind == "rollback":
        words = f"update {update.uid} goes back to the system before, which is being looked at: the machine starts anew"
    else:
        words = (
            f"update {update.uid} is being written: wait until it is done, or end its push, and nothing is left of it"
        )
    return refused("ABORTED", "UPDATE_RUNS", words)


def _check_signer(machine: Machine, call: BeginUpdate) -> Refusal | None:
    """Its signature was looked at before: the keys may be others by now."""
    if not machine.update_keys or call.signed_by in machine.update_keys:
        return None
    words = "which keys sign updates was changed while the bundle came: push it again"
    return refused("ABORTED", "KEYS_CHANGED", words)


def _check_known(machine: Machine) -> Refusal | None:
    """A trial of which nothing is known is ended at once: there is nothing to say to it."""
    if on_trial(machine) is not None or not machine.slots.tentative:
        return None
    return conflict(
        "STRAY",
        "the system that runs is on trial, and the history knows of no such update: the machine is starting anew with "
        "the system before",
    )


def _returns(update: Update, then: str) -> Refusal:
    words = f"update {update.uid} is on its way back: the machine is starting anew with {update.from_slot}: {then}"
    return conflict("RETURNS", words)


def _check_order(call: BeginUpdate) -> Refusal | None:
    if call.allow_downgrade:
        return None
    new, running = (
        system_text(call.new.version, call.new.commit),
        system_text(call.running.version, call.running.commit),
    )
    if call.new == call.running:
        return conflict("SAME_SYSTEM", f"{new} is what runs already: `--allow-downgrade` installs it all the same")
    if order_of(call.new) < order_of(call.running):
        return conflict(
            "OLDER",
            f"{new} is older than {running}, which runs: `--allow-downgrade` installs it, and `capsulectl update "
            "rollback` goes back to the system before without a bundle",
        )
    return None


def order_of(system: System) -> tuple[tuple[int, ...], int]:
    """What puts systems in their order: the version's numbers, then the time of building."""
    numbers = tuple(int(part) for part in system.version.split(".") if part.isdecimal())
    return numbers + (0,) * (4 - len(numbers)), system.built


def unread(written: Level, reads: Level) -> tuple[str, ...]:
    """What stands in the journal and on the disk that a system which reads so much cannot: it would freeze."""
    known = dict(reads)
    return tuple(name for name, version in written if known.get(name, 0) < version)


def _check_level(names: tuple[str, ...], otherwise: str = "install one that can") -> Refusal | None:
    """A system that cannot read what stands in the journal starts nothing and changes nothing."""
    if not names:
        return None
    return conflict(
        "WOULD_FREEZE",
        f"that system cannot read what this machine has written since ({few(names)}), and would freeze: it starts no "
        f"workload and changes nothing until it is updated: {otherwise}",
    )


def few(names: tuple[str, ...], most: int = 5) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _confirm(machine: Machine) -> tuple[Event, ...] | Refusal:
    update = on_trial(machine)
    if update is None:
        nothing = conflict("NOTHING_TO_CONFIRM", "nothing is to be confirmed: what runs is here to stay")
        return _check_known(machine) or nothing
    if update.phase is UpdatePhase.RETURNING:
        return _returns(update, "`capsulectl update history` says why")
    if update.phase is UpdatePhase.CONFIRMING:
        return ()
    return (UpdateConfirming(update.uid, "operator"),)


def _roll_back(machine: Machine, call: RollBackUpdate) -> tuple[Event, ...] | Refusal:
    update = current(machine)
    if (bad := _check_known(machine)) is not None:
        return bad
    if update is None:
        return _go_back(machine, call)
    if call.with_data and (bad := _check_left_with_data(machine, update)) is not None:
        return bad
    if update.phase in (UpdatePhase.STAGING, UpdatePhase.STAGED):
        return _runs(update)
    if update.phase is UpdatePhase.CONFIRMING:
        return refused(
            "ABORTED",
            "CONFIRMING",
            f"update {update.uid} is being confirmed, and the boot loader's default may be the new system already: "
            "once it is, `capsulectl update rollback` tries the system before",
        )
    if update.phase is UpdatePhase.TENTATIVE:
        return (UpdateReturning(update.uid, "operator", with_data=call.with_data),)
    return ()  # it waits for its boot, and is dropped; or it is on its way back


def _check_left_with_data(machine: Machine, update: Update) -> Refusal | None:
    if update.phase in (UpdatePhase.ARMING, UpdatePhase.ARMED):
        return conflict(
            "NOT_BOOTED", f"update {update.uid} waits for its boot: volumes are as they were before it", "with_data"
        )
    if update.phase is UpdatePhase.RETURNING and not update.with_data:
        return conflict("RETURNS", f"update {update.uid} is on its way back already, without its data", "with_data")
    return check_with_data(machine, update)


def _go_back(machine: Machine, call: RollBackUpdate) -> tuple[Event, ...] | Refusal:
    before = fallback(machine)
    if before is None:
        return conflict(
            "NO_WAY_BACK",
            "nothing is known to be in the other slot that this machine has run: push the bundle of what you want back "
            "with `--allow-downgrade`",
        )
    if before.from_slot == machine.slots.active:
        return conflict(
            "RUNS_ALREADY",
            f"the system before runs already, in place of {machine.slots.default}, which the boot loader could not "
            "load: push the bundle of what is to run next",
        )
    names = unread(call.written, before.from_level)
    bad = None if call.allow_freeze else _check_level(names, "`--allow-freeze` goes back all the same")
    if call.with_data:
        bad = bad or _check_restores(names) or check_with_data(machine, before)
    if bad is not None:
        return bad
    return (
        UpdateBegun(
            slot=before.from_slot,
            version=before.from_version,
            commit=before.from_commit,
            built=0,
            from_slot=machine.slots.active,
            from_version=call.running.version,
            from_commit=call.running.commit,
            kind="rollback",
            from_level=call.level,
            window_s=call.window_s,
            downgrade=True,
            data_of=before.uid if call.with_data else 0,
        ),
    )


def _check_restores(names: tuple[str, ...]) -> Refusal | None:
    """A frozen system restores nothing."""
    if not names:
        return None
    return conflict(
        "WOULD_FREEZE",
        f"that system cannot read what this machine has written since ({few(names)}), and restores no volume: go back "
        "without `--with-data`, and `capsulectl volume restore` before that what you want to have back",
        "with_data",
    )


def _add_key(machine: Machine, call: AddUpdateKey) -> tuple[Event, ...] | Refusal:
    if not is_public_key(call.public_key):
        words = "a key that signs updates is a raw Ed25519 public key of 32 bytes, and none that anybody can sign for"
        return invalid("BAD_KEY", words, "public_key")
    if len(call.name) > NAME_CHARS or not call.name.isprintable():
        return invalid("BAD_NAME", f"a key's name has at most {NAME_CHARS} printable characters", "name")
    if call.kid in machine.update_keys:
        return refused("ALREADY_EXISTS", "KEY_ENROLLED", "this key is enrolled already", "public_key")
    if len(machine.update_keys) >= KEYS_MAX:
        return refused("RESOURCE_EXHAUSTED", "TOO_MANY_KEYS", f"{KEYS_MAX} keys are enrolled: remove one first")
    return (UpdateKeyEnrolled(call.kid, call.public_key, call.name),)

"""Volumes kept over an update: which snapshots are taken for it, brought back with it, and no longer needed. Pure.

They are snapshots like any other, under one name that the update has for all of them. Nothing brings them back by
itself: an operator's `update rollback --with-data` does, and the next boot of the system before carries it out.
"""

from collections.abc import Iterable

from journal.events import BootStarted, Event, UpdateRolledBack
from projections.intents import RestoreVolume, TakeSnapshot
from projections.refusals import Refusal, conflict, invalid
from projections.state import Machine, Update
from projections.update_phases import UpdatePhase
from projections.updates import SPARED, keeps
from projections.volume_admission import admit_volume, full

_ABLE = frozenset({"volume"})
"""Whoever has volumes can do this with them."""
_OVER = frozenset({UpdatePhase.RETURNING, UpdatePhase.ROLLED_BACK, UpdatePhase.DROPPED, UpdatePhase.FAILED})
"""Phases in which nobody takes a trial for one any more."""
_NEVER_BOOTED = frozenset({UpdatePhase.FAILED, UpdatePhase.DROPPED})


def check_keeps(machine: Machine, keeps: tuple[str, ...], label: str) -> Refusal | None:
    """Whether a snapshot of each of these volumes can be taken under this name, and one more before it goes back."""
    if len(set(keeps)) < len(keeps):
        return invalid("DOUBLED", "a volume is named twice among those to be kept", "metadata.snapshots")
    for name in keeps:
        verdict = admit_volume(machine, TakeSnapshot(name, label), _ABLE)
        if isinstance(verdict, Refusal):
            return verdict
        if (refusal := full(machine.volumes[name], ", with the one that is taken before it goes back", 2)) is not None:
            return refusal
    return None


def check_with_data(machine: Machine, update: Update) -> Refusal | None:
    """Whether all of the volumes that were kept for the update can be as they were before it."""
    if not update.keeps:
        return conflict(
            "NOTHING_KEPT",
            f"no volume was kept before update {update.uid}: `update push --snapshot VOLUME` does that; "
            "`capsulectl volume snapshots` lists what else there is",
            "with_data",
        )
    for name in update.keeps:
        verdict = admit_volume(machine, RestoreVolume(name, update.snapshot, _before(update)), _ABLE)
        if isinstance(verdict, Refusal):
            return verdict
    return None


def owed(machine: Machine, told: Event) -> Update | None:
    """The update whose volumes are to be as before it, now that this is told: one that was left with its data, or one
    that the system on trial takes back with its data. One whose system runs all the same keeps what it has written."""
    match told:
        case UpdateRolledBack(runs=""):
            left = machine.updates.get(told.uid)
            return left if left is not None and left.with_data else None
        case BootStarted(tentative=True):
            trial = machine.updates.get(told.uid)
            # The boot loader may take its one-shot behind a trial's end: nobody waits for what runs then.
            return None if trial is None or trial.phase in _OVER else machine.updates.get(trial.data_of)
        case _:
            return None


def owed_late(machine: Machine, told: Iterable[Event]) -> tuple[Update, ...]:
    """The same of all that was told while nothing could be done to volumes; `machine` is the state behind it. A trial
    that is over by then has had no workload on them, and leaves them as they are."""
    each = (owed(machine, event) for event in told)
    return tuple({update.uid: update for update in each if update is not None}.values())


def brought_back(machine: Machine, update: Update) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """What has the update's volumes as they were before it, and in words which of them cannot be so any more. What they
    have now is kept under another name."""
    events: list[Event] = []
    lost: list[str] = []
    for name in update.keeps:
        verdict = admit_volume(machine, RestoreVolume(name, update.snapshot, _before(update)), _ABLE)
        if isinstance(verdict, Refusal):
            lost.append(f"volume {name} stays as it is: {verdict.message}")
        else:
            events += verdict
    return tuple(events), tuple(lost)


def _before(update: Update) -> str:
    """The name of what its volumes have when they are brought back."""
    return f"before-restore-{update.uid}"


def outlived(machine: Machine) -> tuple[tuple[str, str], ...]:
    """Snapshots that nobody needs for going back any more, as (volume, name): two updates were confirmed since, or the
    one they were taken for was never booted."""
    confirmed, found = 0, []
    for update in reversed(machine.updates.values()):
        if confirmed >= SPARED or update.phase in _NEVER_BOOTED:
            found += [(name, update.snapshot) for name in keeps(machine, update)]
        confirmed += update.phase is UpdatePhase.CONFIRMED
    return tuple(found)

"""What a boot makes of journal and boot loader: the facts that are missing, and what is to be done. Pure.

Every switch is intent → act → fact, and power can be lost between any two. The loader's variables are what was done;
the journal is what was meant and known. Both together always tell.
"""

import msgspec

from journal.events import (
    BootStarted,
    Event,
    UpdateArmed,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateStagingFailed,
)
from journal.evidence import Loader
from projections.state import Machine, Update
from projections.update_phases import ON_TRIAL, UpdatePhase
from projections.updates import current


class Booted(msgspec.Struct, frozen=True):
    """What the boot loader told the kernel. `update`: the one on trial, 0 for none."""

    slot: str
    default_slot: str
    update: int = 0
    window_s: int = 0


class Variables(msgspec.Struct, frozen=True):
    """The boot loader's variables now; `readable`: they could be read, and are whole. Else they say nothing; and where
    they are `damaged`, the boot loader had nothing to go by either: it boots slot_a, whatever its default was."""

    readable: bool = True
    default_slot: str = ""
    next_slot: str = ""
    update: int = 0
    tried: int = 0
    refused: int = 0
    damaged: bool = False


class Reconciled(msgspec.Struct, frozen=True):
    """`events` are the missing facts, in their order. `back`: the update whose trial is over, and whose cause is to be
    found out and told behind them; `loader` is what the loader says of its one boot. `runs`: the slot that was tried,
    where that runs all the same, in place of the loader's default, or, with `damaged`, of nobody knows which.
    `take_back`: the loader would boot what nobody wants it to. `trial`: a system is on trial; `stray`: the journal does
    not know it to be."""

    events: tuple[Event, ...] = ()
    back: Update | None = None
    loader: Loader = "unknown"
    runs: str = ""
    take_back: bool = False
    trial: bool = False
    stray: bool = False
    damaged: bool = False


def reconcile(
    machine: Machine, boot: str, booted: Booted, loader: Variables, release: str, kernel: str = ""
) -> Reconciled:
    """As of a daemon's start in the boot `boot`. `machine` is the state before anything of this life is told."""
    update, tried = current(machine), machine.updates.get(booted.update)
    # Also where the memory was taken over in this boot: which slot runs is not known then.
    first = machine.boot is None or machine.boot.boot != boot or not machine.slots.active
    here = not first and tried is not None and tried.boot == boot
    confirmed = here and tried is not None and tried.phase is UpdatePhase.CONFIRMED
    if booted.update and not confirmed and not boots_by_itself(booted, loader):
        return _on_trial(tried, booted, loader, release, kernel, first, here)
    default = _default(booted, loader)
    started = (BootStarted(booted.slot, default, release, kernel, tried=loader.tried),) if first else ()
    if update is None:
        return Reconciled(started, take_back=bool(loader.next_slot))
    facts, back = _by_itself(update, booted, loader, first)
    waits = not facts and back is None and update.phase in _ARMED
    armed = bool(facts) and isinstance(facts[-1], UpdateArmed) and back is None
    return Reconciled(
        (*started, *facts),
        back,
        _said(update, loader),
        runs=booted.slot if back is not None and booted.slot == update.slot else "",
        take_back=bool(loader.next_slot) and not (waits or armed),
        damaged=loader.damaged,
    )


def boots_by_itself(booted: Booted, loader: Variables) -> bool:
    """What was on trial as this boot began is the loader's default by now: there is nothing to go back to, whatever the
    journal knows of it. Its end may be lost, or it may be another machine's."""
    return loader.readable and loader.default_slot == booted.slot


def _default(booted: Booted, loader: Variables) -> str:
    """What the loader boots when nothing else is said: as the disk has it, else as the kernel was told."""
    return loader.default_slot if loader.readable and loader.default_slot else booted.default_slot


_ARMED = frozenset({UpdatePhase.ARMING, UpdatePhase.ARMED})
"""Phases in which an update can be whose system is being booted."""


def _on_trial(
    update: Update | None, booted: Booted, loader: Variables, release: str, kernel: str, first: bool, here: bool
) -> Reconciled:
    # A boot loader whose own write was lost with the power takes its one-shot again: that trial is over. One whose
    # writes never reach the disk would take it for ever.
    take_back = bool(loader.next_slot)
    if update is None or not (update.phase in _ARMED if first else here and update.phase in ON_TRIAL):
        started = BootStarted(booted.slot, booted.default_slot, release, kernel, tentative=True, uid=booted.update)
        return Reconciled((started,) if first else (), take_back=take_back, trial=True, stray=True)
    facts: tuple[Event, ...] = ()
    if first:
        if update.phase is UpdatePhase.ARMING:
            facts = (UpdateArmed(update.uid, recovered=True),)
        started = BootStarted(
            booted.slot,
            booted.default_slot,
            release,
            kernel,
            tentative=True,
            uid=update.uid,
            deadline_mono_ns=booted.window_s * 1_000_000_000,
            tried=loader.tried,
        )
        facts = (*facts, started)
    return Reconciled(facts, loader=_said(update, loader), take_back=take_back, trial=True)


def _by_itself(
    update: Update, booted: Booted, loader: Variables, first: bool
) -> tuple[tuple[Event, ...], Update | None]:
    """No system is on trial, and an update is under way. Where its slot runs as the loader's default, it is here to
    stay. Where it runs, and is not the default, that could not be loaded: its trial is over like any other. Nor is it
    the default where the variables are damaged, unless that was being made so."""
    runs, default = booted.slot == update.slot, _default(booted, loader)
    stays = runs and default == update.slot and (not loader.damaged or update.phase is UpdatePhase.CONFIRMING)
    match update.phase:
        case UpdatePhase.STAGING:
            message = "the machine or its daemon ended before the slot was written: push again"
            held = "" if default == booted.default_slot else default
            return (UpdateStagingFailed(update.uid, "INTERRUPTED", message, held),), None
        case UpdatePhase.STAGED:
            return (UpdateDisarmed(update.uid, "never-written"),), None
        case UpdatePhase.CONFIRMING if stays:
            return (UpdateConfirmed(update.uid, update.slot, recovered=True),), None
        case _ if stays:
            # Another hand changed the loader's variables, or what was said of it is lost.
            armed = (UpdateArmed(update.uid, recovered=True),) if update.phase is UpdatePhase.ARMING else ()
            by_hand = UpdateConfirming(update.uid, "by-hand")
            return (*armed, by_hand, UpdateConfirmed(update.uid, update.slot, recovered=True)), None
        case UpdatePhase.ARMING if loader.damaged:
            return (UpdateDisarmed(update.uid, "damaged"),), None
        case UpdatePhase.ARMING if not loader.readable:
            return (), None  # the next daemon that can read it will know
        case UpdatePhase.ARMING if loader.tried != update.uid:
            if loader.next_slot == update.slot and loader.update == update.uid:
                # Only where nothing was booted since can it still be waiting.
                return (UpdateArmed(update.uid, recovered=True),), update if first or runs else None
            return (UpdateDisarmed(update.uid, "never-written"),), None
        case UpdatePhase.ARMING:
            return (UpdateArmed(update.uid, recovered=True),), update
        case UpdatePhase.ARMED if not (first or runs) and loader.tried != update.uid:
            return (), None  # it waits for its boot
        case _:
            return (), update


def _said(update: Update, loader: Variables) -> Loader:
    if not loader.readable:
        return "unknown"
    if loader.refused == update.uid:
        return "refused"
    return "taken" if loader.tried == update.uid else "waiting"

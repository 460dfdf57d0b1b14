"""What a start of the daemon makes of journal and boot loader: missing facts are told, and what nobody wants is undone.

The rules are pure (projections/update_reconcile.py); here the loader is read, evidence is gathered, and it is written
down. Nothing here may keep a machine from starting: a loader that cannot be read is warned of, and where looking for
evidence fails, that is what was found.
"""

import logging
from collections.abc import Callable, Sequence

import msgspec

from capsuled.engine import Engine
from capsuled.evidence.bounded import reason
from capsuled.evidence.finding import Found
from capsuled.evidence.redacted import redacted_line
from capsuled.updates.switching import Switch
from effects.slots.protocol import BootLoader, LoaderFailed
from journal.codec import encode
from journal.entry import SYSTEM
from journal.events import Event, UpdateEvidenceFound, UpdateRolledBack
from journal.evidence import Evidence, Loader, Looked, Verdict
from projections.causes import of_its_check
from projections.state import Update
from projections.update_data import brought_back, owed
from projections.update_reconcile import Reconciled, Variables

log = logging.getLogger(__name__)

FindOut = Callable[[Update, Loader], Found]
"""Why the machine came back from an update, and what says so."""


class Standing(msgspec.Struct, frozen=True):
    """What is so now. `stray`: what runs is on trial, and the journal does not know it; `warnings`: what an operator
    should know of."""

    stray: bool = False
    warnings: tuple[str, ...] = ()


async def look(loader: BootLoader) -> tuple[Variables, str]:
    """The loader's variables, and what is wrong with them, in words. Damaged ones say nothing: neither what was booted
    nor that nothing was."""
    try:
        state = await loader.read()
    except LoaderFailed as error:
        return Variables(readable=False), f"the boot loader's variables cannot be read: {error.message}"
    if state.damaged:
        damaged = "the boot loader's variables were damaged: it boots slot_a until the next update is confirmed"
        return Variables(readable=False, damaged=True), damaged
    variables = Variables(
        default_slot=state.default_slot,
        next_slot=state.next_slot or "",
        update=state.update,
        tried=state.tried,
        refused=state.refused,
    )
    return variables, ""


async def settle(
    engine: Engine, found: Reconciled, switch: Switch, find_out: FindOut, *, restores: bool = True
) -> Standing:
    """Tell the facts, find out why the machine came back, and take back what nobody wants to be booted. Where it
    `restores` nothing, as beside a journal, volumes that are to be as they were are so once that is read in."""
    warnings = list(_tell(engine, found.events, restores))
    if found.back is not None:
        found_out = _found(find_out, found.back, found.loader)
        warnings += _tell_back(engine, found.back, found_out, found, restores)
    await engine.durable()
    if found.take_back:
        try:
            await switch.take_back()
        except LoaderFailed as error:
            warnings.append(f"the next boot is one that nobody wants, and that cannot be taken back: {error.message}")
            log.error("%s", warnings[-1])
    return Standing(found.stray, tuple(warnings))


def _tell(engine: Engine, events: Sequence[Event], restores: bool, cause: int = 0) -> tuple[str, ...]:
    """In one batch with what has volumes as they were, where that is due now; what of them cannot be so, in words."""
    all_of_it: list[Event] = []
    lost: tuple[str, ...] = ()
    for event in events:
        all_of_it.append(event)
        if (update := owed(engine.machine, event)) is not None:
            back, lost = brought_back(engine.machine, update) if restores else ((), (_later(update),))
            all_of_it += back
    engine.record(all_of_it, cause=cause, vital=True, actor=SYSTEM)
    return lost


def _later(update: Update) -> str:
    return (
        f"{', '.join(update.keeps)} stay as they are now: only a system that can write the journal has them as they "
        f"were before update {update.uid}, and does that when it starts"
    )


def _found(find_out: FindOut, update: Update, loader: Loader) -> Found:
    """What was found out, fit for the journal. Whoever left it wants no good: no fault in looking at it is one of this
    start, which would meet it again each time."""
    try:
        found = find_out(update, loader)
        encode(UpdateEvidenceFound(update.uid, found.evidence))
        return found
    except Exception as error:
        log.exception("what the system of update %d left cannot be looked at", update.uid)
        said = redacted_line(f"what the new system left cannot be looked at: {reason(error)}")
        evidence = Evidence(update.slot, update.boot, loader=loader, looked=(Looked("perm", said, False),))
        return Found(Verdict("unknown", "none", looked_for=(said,)), evidence)


def _tell_back(engine: Engine, update: Update, found_out: Found, found: Reconciled, restores: bool) -> tuple[str, ...]:
    verdict, evidence = found_out.verdict, found_out.evidence
    log.warning("the trial of update %d is over: %s (%s)", update.uid, verdict.cause, verdict.confidence)
    seq = engine.record((UpdateEvidenceFound(update.uid, evidence),), vital=True, actor=SYSTEM)
    why = update.message or of_its_check(verdict.cause, evidence.failed)
    rolled_back = UpdateRolledBack(
        update.uid,
        verdict.cause,
        "; ".join(words for words in (why, _in_place(update, found)) if words),
        verdict.confidence,
        verdict.rests_on,
        verdict.looked_for,
        evidence.boot,
        found.runs,
    )
    return _tell(engine, (rolled_back,), restores, cause=seq)


def _in_place(update: Update, found: Reconciled) -> str:
    if not found.runs:
        return ""
    data = f", and {', '.join(update.keeps)} stay as they are" if update.with_data else ""
    if found.damaged:
        return (
            f"{update.slot} runs all the same: the boot loader's variables are damaged, and it boots slot_a then{data}"
        )
    return f"{update.slot} runs all the same, in place of {update.from_slot}, the boot loader's default{data}"

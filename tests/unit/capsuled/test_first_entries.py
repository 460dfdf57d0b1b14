"""A machine that took a memory over says so before it makes anything of the state: until then that is another one's."""

import asyncio
import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capsuled import first_entries
from capsuled.engine import Engine
from capsuled.first_entries import open_life
from capsuled.layout import hosted
from capsuled.restoring import Restored, laid_down, lay_down, make_room
from capsuled.updates.at_boot import Standing
from journal.entry import LOCAL
from journal.events import BootStarted, DaemonStarted, JournalRestored
from journal.sidelog import Emergency, SideLog
from projections.intents import DEFAULT_SUBNET
from projections.state import Slots
from projections.update_reconcile import Booted, Reconciled, Variables, reconcile
from projections.updates import unconfirmed
from tests.unit.capsuled.test_emergency import Brim, Doze
from tests.unit.projections.test_updates import tentative, the

BOOTED = Booted("slot_a", "slot_a")


@pytest.mark.parametrize("slots", [False, True], ids=["hosted", "booted"])
def test_a_trial_that_went_on_elsewhere_is_over_before_the_boot_loader_is_asked(
    slots: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system before that trial could not read `journal.restored`: it is another machine's, and does not matter."""
    story = tentative()
    log, layout = Brim(story.machine.seq), hosted(tmp_path)
    log.full = False
    (make_room(layout) / "journal").mkdir()
    lay_down(layout, Restored(story.machine.seq, "ab" * 32, "0.0.1", 0, LOCAL))
    engine = Engine(log, story.machine, Doze(), frozenset())

    async def opening(*arguments: Any) -> Reconciled:
        return reconcile(engine.machine, "boot-1", BOOTED, Variables(default_slot="slot_a"), "1 aaa")

    async def settled(fitted: Any, found: Reconciled, *arguments: Any) -> Standing:
        engine.record(found.events)
        return Standing(found.stray)

    monkeypatch.setattr(first_entries, "update_opening", opening)
    monkeypatch.setattr(first_entries, "settled", settled)
    memory: Any = SimpleNamespace(
        journal=SimpleNamespace(reader=None), reader=None, side_log=None, machine=story.machine,
        state=SimpleNamespace(acts=True),
    )  # fmt: skip
    there: Any = SimpleNamespace()
    system = there if slots else None
    stray = asyncio.run(open_life(engine, memory, Doze(), layout, DEFAULT_SUBNET, system, system, there))
    told = [type(event) for _, event in log.entries]
    assert told == [JournalRestored, DaemonStarted, *([BootStarted] if slots else [])] and not stray
    assert not unconfirmed(engine.machine) and the(story).phase == "dropped" and laid_down(layout) is None
    assert engine.machine.slots == (Slots("slot_a", "slot_a", False, "1 aaa") if slots else Slots())


def test_a_side_log_that_fails_as_it_is_to_forget_is_warned_of_and_keeps_no_daemon_from_starting(
    side_log: SideLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(told: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    side_log.append(noted := Emergency("stop", "web", 1))
    monkeypatch.setattr(side_log, "forget", fails)
    warned: list[str] = []
    about: Any = SimpleNamespace(warn=warned.append)
    first_entries._forget(side_log, (noted,), about)
    assert [f"{side_log.path} cannot be written: Input/output error" in one for one in warned] == [True]

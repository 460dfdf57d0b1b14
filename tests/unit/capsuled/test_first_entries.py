"""A machine that took a memory over says so before it makes anything of the state: until then that is another one's."""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capsuled import first_entries
from capsuled.emergency import HALT, Emergencies
from capsuled.engine import Engine
from capsuled.first_entries import Opened, open_life
from capsuled.layout import hosted
from capsuled.restoring import Restored, laid_down, lay_down, make_room
from capsuled.retention import Retention
from capsuled.updates.at_boot import Standing
from effects.containers.last_resort import LastResort
from journal.codec import encode
from journal.entry import LOCAL, Stored
from journal.events import BootStarted, DaemonStarted, EmergencyRecovered, JournalRestored, MachineHalted
from journal.sidelog import Emergency, SideLog
from projections.intents import DEFAULT_SUBNET
from projections.state import Slots
from projections.update_reconcile import Booted, Reconciled, Variables, reconcile
from projections.updates import unconfirmed
from tests.support.story import Story, declared
from tests.support.until import until
from tests.unit.capsuled.test_emergency import FULL, Brim, Doze
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
    opened = asyncio.run(open_life(engine, memory, Doze(), layout, DEFAULT_SUBNET, system, system, there))
    told = [type(event) for _, event in log.entries]
    assert told == [JournalRestored, DaemonStarted, *([BootStarted] if slots else [])] and not opened.stray
    assert not unconfirmed(engine.machine) and the(story).phase == "dropped" and laid_down(layout) is None
    assert engine.machine.slots == (Slots("slot_a", "slot_a", False, "1 aaa") if slots else Slots())


class Told:
    """What a log has, as the journal tells it."""

    def __init__(self, log: Brim) -> None:
        self._log = log

    def of_type(self, tag: str) -> Iterator[Stored]:
        return (Stored(head, b"", b"", encode(event)) for head, event in self._log.entries if head.type == tag)


def test_what_was_done_meanwhile_and_cannot_be_forgotten_is_told_once(
    side_log: SideLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs since a halt goes on."""

    def fails(told: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def resume(retention: Any) -> None:
        return None

    monkeypatch.setattr(Retention, "resume", resume)
    clock, story = Doze(), Story()
    story.tell(DaemonStarted("hosted", "first"))
    story.apply(declared("web"))
    story.converge()
    log = Brim(story.machine.seq)
    log.full = False
    engine = Engine(log, story.machine, clock, frozenset())
    memory: Any = SimpleNamespace(
        journal=SimpleNamespace(reader=Told(log)), reader=None, side_log=side_log, machine=story.machine,
        state=SimpleNamespace(acts=True),
    )  # fmt: skip
    about: Any = SimpleNamespace(warn=lambda text: None)
    noted = Emergency(HALT, at=1, boot=clock.boot_id), Emergency("stop", "web", 1, 2)

    async def life() -> Opened:
        return await open_life(engine, memory, clock, hosted(tmp_path), DEFAULT_SUBNET, None, None, about)

    def phase() -> str:
        run = story["web"].run
        assert run is not None
        return run.phase

    for one in noted:
        side_log.append(one)
    with monkeypatch.context() as broken:
        broken.setattr(side_log, "forget", fails)
        assert asyncio.run(life()).told == noted
        assert phase() == "lost"
        story.converge()
        opened = asyncio.run(life())
        assert opened.told == noted and phase() == "running"
    kinds = [type(event) for _, event in log.entries]
    assert kinds == [MachineHalted, EmergencyRecovered, DaemonStarted, DaemonStarted]

    async def stops() -> None:
        emergencies = Emergencies(engine, {}, LastResort(tmp_path), clock, side_log, opened.told)
        await emergencies.stop("web", FULL)
        reading = asyncio.ensure_future(emergencies.run())
        await until(lambda: not side_log.records())
        reading.cancel()

    asyncio.run(stops())
    assert [type(event) for _, event in log.entries[len(kinds) :]] == [EmergencyRecovered]
    assert phase() == "running"


def test_a_side_log_that_fails_as_it_is_to_forget_is_warned_of_and_keeps_no_daemon_from_starting(
    side_log: SideLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(told: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    side_log.append(noted := Emergency("stop", "web", 1))
    monkeypatch.setattr(side_log, "forget", fails)
    warned: list[str] = []
    about: Any = SimpleNamespace(warn=warned.append)
    assert not first_entries._forget(side_log, (noted,), about)
    assert [f"{side_log.path} cannot be written: Input/output error" in one for one in warned] == [True]

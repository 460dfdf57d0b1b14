"""Evidence of updates that the state does not know any more."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from capsuled.boot.ground import Booted
from capsuled.evidence.forgetting import forget
from capsuled.evidence.last_words import take
from capsuled.layout import hosted
from capsuled.updates.fitting import Fitted, try_out
from capsuled.updates.switching import Switch
from effects.slots.protocol import Room
from effects.slots.twin import SlotDisk, TwinLoader
from journal.events import UpdateRolledBack
from journal.sidelog import Emergency, SideLog
from projections.update_intents import System
from tests.support.beside import armed, at_once, beside
from tests.support.clock import HandClock
from tests.unit.projections.test_update_calls import uid


def test_what_no_update_has_is_removed_and_nothing_else(tmp_path: Path) -> None:
    layout = hosted(tmp_path)
    evidence = layout.last_words.parent
    take(layout.last_words, "boot", tmp_path / "no-pstore")
    for update in (7, 41, 42, 900):
        layout.evidence_of(update).mkdir()
        (layout.evidence_of(update) / "kernel").write_text("[    0.1] a line")
    for foreign in ("041", "٤", "41.old"):
        (evidence / foreign).mkdir()
    forget(evidence, {41, 900})
    assert {path.name for path in evidence.iterdir()} == {"41", "900", "last-words", "041", "٤", "41.old"}
    assert (layout.evidence_of(41) / "kernel").exists() and (layout.last_words / "boot").is_dir()


@pytest.mark.parametrize(
    "unread", [False, True], ids=["all is read in", "the side log holds what another release wrote"]
)
def test_a_start_that_is_on_no_trial_forgets_what_the_state_has_forgotten(
    tmp_path: Path, side_log: SideLog, unread: bool
) -> None:
    class Here:
        """What is asked of the system that runs."""

        booted = Booted("slot_a", "slot_a")

    story, layout, here = armed(), hosted(tmp_path), Here()
    known: int = uid(story)
    story.tell(UpdateRolledBack(known, "operator"))
    for update in (known, known + 1):
        layout.evidence_of(update).mkdir(parents=True)
    if unread:
        side_log.append(Emergency("dance"))
    engine, loader = beside(story, side_log, known=len(story.entries)), TwinLoader(SlotDisk(Room(1, 1)), at_once)
    nobody: Any = here
    fitted = Fitted(engine, nobody, Switch(engine, loader), loader, System("0.0.1", "aaa", 10), "/dev/none1")
    asyncio.run(try_out(fitted, nobody, engine, HandClock("boot-3"), layout, nobody, False, side_log))
    assert layout.evidence_of(known).is_dir() and layout.evidence_of(known + 1).is_dir() is unread


def test_a_machine_that_never_had_any_is_as_it_was(tmp_path: Path) -> None:
    forget(tmp_path / "evidence", ())
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_removed_is_told_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/7").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "evidence/8").mkdir()
    forget(tmp_path / "evidence", ())
    assert [path.name for path in (tmp_path / "evidence").iterdir()] == ["7"] and (tmp_path / "elsewhere").is_dir()
    assert "what the boot of update 7 left cannot be removed" in caplog.text

"""What was kept of containerd's records for the way back goes with the confirmation, and is not made anew behind it."""

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capsuled.boot.ground import Booted
from capsuled.engine import Engine
from capsuled.evidence.keeping import Keeper, Returning
from capsuled.layout import Layout, hosted
from capsuled.updates import fitting
from capsuled.updates.fitting import Fitted, runtime_settled, tried, try_out
from capsuled.updates.runtime_files import RECORDS, Settled, before_the_runtime
from capsuled.updates.switching import Switch
from effects.slots.protocol import LoaderState, Room
from effects.slots.twin import SlotDisk, TwinLoader
from journal.events import BootStarted, UpdateConfirming
from journal.evidence import FailedCheck
from projections.update_intents import System
from projections.update_phases import UpdatePhase
from tests.support.beside import armed, at_once
from tests.support.clock import HandClock
from tests.support.slow_log import SlowLog
from tests.support.story import Story
from tests.unit.projections.test_update_calls import uid


class Here:
    """The system that runs, as far as a trial asks of it, and who is told of its end."""

    answered_s = 0.0
    keeper: Keeper | None = None
    bridge = "none0"
    slot = "slot_b"
    root = "/dev/none3"

    def __init__(self, update: int) -> None:
        self.booted = Booted("slot_b", "slot_a", update, 900)
        self.said: list[str] = []
        self.notes: list[str] = []
        self.link: Any = self

    def say(self, word: str) -> None:
        self.said.append(word)


class OnTrial:
    """A machine whose update runs on trial, its containerd's records copied aside."""

    def __init__(self, tmp_path: Path, deadline_s: int = 900) -> None:
        self.layout: Layout = hosted(tmp_path)
        self.root = tmp_path / "root"
        self.story = trial(deadline_s)
        self.update: int = uid(self.story)
        self.disk = SlotDisk(Room(1, 1))
        self.disk.state = LoaderState("slot_a", tried=self.update, update=self.update)
        self.loader = TwinLoader(self.disk, at_once)
        self.here = Here(self.update)
        self.holds("before the update")
        self.starts("slot_b", self.update)
        assert self.copied == ["0", "1", "slot"]

    @property
    def copied(self) -> list[str]:
        return sorted(path.name for path in self.layout.updates.rglob("*") if path.is_file())

    def holds(self, content: str) -> None:
        for record in RECORDS:
            (self.root / record).parent.mkdir(parents=True, exist_ok=True)
            (self.root / record).write_text(content)

    def starts(self, slot: str, update: int) -> Settled:
        return before_the_runtime(self.root, self.layout.updates, slot, update)

    def lives(self) -> UpdatePhase:
        """Until its trial is decided."""
        clock = HandClock("boot-2")
        engine = Engine(SlowLog(self.story), self.story.machine, clock, frozenset())
        nobody: Any = self.here
        switch = Switch(engine, self.loader)
        fitted = Fitted(engine, nobody, switch, self.loader, System("0.0.1", "aaa", 10), "/dev/none1")
        asyncio.run(try_out(fitted, nobody, engine, clock, self.layout, nobody, False, None))
        return engine.machine.updates[self.update].phase


def trial(deadline_s: int) -> Story:
    story = armed()
    story.reboot("boot-2")
    started = BootStarted(
        "slot_b", "slot_a", "0.0.2 bbb", tentative=True, uid=uid(story), deadline_mono_ns=deadline_s * 10**9
    )
    story.tell(started)
    return story


def confirmed(tmp_path: Path) -> OnTrial:
    box = OnTrial(tmp_path)
    box.story.tell(UpdateConfirming(box.update, "operator"))
    assert box.lives() is UpdatePhase.CONFIRMED and box.here.said == ["confirmed"]
    return box


def test_months_after_a_confirmation_the_other_slot_runs_in_its_defaults_place_on_the_records_of_today(
    tmp_path: Path,
) -> None:
    box = confirmed(tmp_path)
    assert not box.copied
    box.holds("three months of a confirmed system")
    assert box.starts("slot_a", 0) == Settled()
    assert {(box.root / record).read_text() for record in RECORDS} == {"three months of a confirmed system"}


def test_a_daemon_that_is_started_again_in_the_boot_that_was_confirmed_copies_nothing_anew(tmp_path: Path) -> None:
    box = confirmed(tmp_path)
    update = asyncio.run(tried(box.here.booted, box.loader))
    box.starts("slot_b", update)
    assert update == 0 and not box.copied


def test_a_daemon_that_ended_between_the_confirmation_and_the_forgetting_forgets_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    box = OnTrial(tmp_path)
    box.disk.state = LoaderState("slot_b", tried=box.update, update=box.update)
    box.starts("slot_b", asyncio.run(tried(box.here.booted, box.loader)))
    assert not box.copied


def test_power_that_goes_between_the_two_leaves_a_copy_that_goes_with_the_next_boot_of_the_same_slot(
    tmp_path: Path,
) -> None:
    box = OnTrial(tmp_path)
    box.holds("the confirmed system's")
    box.starts("slot_b", 0)
    assert not box.copied
    assert {(box.root / record).read_text() for record in RECORDS} == {"the confirmed system's"}


def test_a_trial_that_goes_back_keeps_its_copy_for_the_system_before(tmp_path: Path) -> None:
    box = OnTrial(tmp_path, deadline_s=0)
    assert box.lives() is UpdatePhase.RETURNING and box.here.said == ["reboot"]
    assert box.copied == ["0", "1", "slot"]


@pytest.mark.parametrize("state", [LoaderState("slot_a"), LoaderState(damaged=True)], ids=["unconfirmed", "damaged"])
def test_as_long_as_the_boot_loader_does_not_say_that_it_stays_it_is_on_trial(
    tmp_path: Path, state: LoaderState
) -> None:
    box = OnTrial(tmp_path)
    box.disk.state = state
    assert asyncio.run(tried(box.here.booted, box.loader)) == box.update
    assert asyncio.run(tried(Booted("slot_b", "slot_b"), box.loader)) == 0


def test_a_copy_that_cannot_be_forgotten_ends_no_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stays(path: Path, missing_ok: bool = False) -> None:
        raise OSError("the disk takes nothing")

    monkeypatch.setattr(Path, "unlink", stays)
    confirmed(tmp_path)
    assert "stays until the next start: the disk takes nothing" in caplog.text


def test_a_trial_that_could_not_be_undone_is_given_up_in_the_daemons_first_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = OnTrial(tmp_path)
    shutil.rmtree(box.layout.updates)
    here: Any = box.here
    here.keeper = Keeper(box.update, box.layout.evidence_of(box.update))
    here.keeper.begin("boot-2", "slot_b", "0.0.2 bbb", emptied=False)
    monkeypatch.setattr(fitting, "loader_of", lambda root: box.loader)
    box.disk.state = LoaderState("slot_a", "slot_b", box.update)  # as firmware leaves it that writes nothing

    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            asyncio.run(runtime_settled(here, box.root, box.layout.updates))
    assert here.said == ["lost"] and not box.copied
    assert box.disk.state.next_slot is None, "it would boot again, and again"
    told = (box.layout.evidence_of(box.update) / "returning.json").read_bytes()
    returning = msgspec.json.decode(told, type=Returning)
    why = "what containerd knows cannot be copied aside: No space left on device"
    assert (returning.cause, returning.failing) == ("state-lost", (FailedCheck("state", why),))
    assert asyncio.run(runtime_settled(here, box.root, box.layout.updates)) == Settled()
    assert here.said == ["lost"] and box.copied

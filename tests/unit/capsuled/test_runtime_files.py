"""containerd's records over a trial: aside before it, back after one that went back, and forgotten once it stayed."""

import shutil
from pathlib import Path

import pytest

from capsuled.updates.runtime_files import RECORDS, before_the_runtime


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for record in RECORDS:
        (tmp_path / "root" / record).parent.mkdir(parents=True)
        (tmp_path / "root" / record).write_text("old form")
    return tmp_path / "root"


def held(root: Path) -> list[str]:
    return [(root / record).read_text() for record in RECORDS if (root / record).exists()]


def test_a_trial_that_went_back_leaves_them_as_they_were(root: Path, tmp_path: Path) -> None:
    kept = tmp_path / "updates"
    before_the_runtime(root, kept, "slot_b", 7)
    for record in RECORDS:
        (root / record).write_text("a form that the old one refuses")
    before_the_runtime(root, kept, "slot_b", 7)  # its daemon is started again
    before_the_runtime(root, kept, "slot_a", 0)
    assert held(root) == ["old form", "old form"] and not list(kept.iterdir())


def test_one_that_stayed_keeps_its_own(root: Path, tmp_path: Path) -> None:
    kept = tmp_path / "updates"
    before_the_runtime(root, kept, "slot_b", 7)
    (root / RECORDS[0]).write_text("new form")
    before_the_runtime(root, kept, "slot_b", 0)
    assert held(root) == ["new form", "old form"] and not list(kept.iterdir())


def test_a_copy_that_was_not_finished_is_none(root: Path, tmp_path: Path) -> None:
    half = tmp_path / "updates/7"
    half.mkdir(parents=True)
    (half / "0").write_text("half")
    before_the_runtime(root, tmp_path / "updates", "slot_a", 0)
    assert held(root) == ["old form", "old form"] and not half.exists()


def test_what_a_trial_made_on_a_machine_that_had_none_goes(tmp_path: Path) -> None:
    root, kept = tmp_path / "root", tmp_path / "updates"
    before_the_runtime(root, kept, "slot_b", 7)
    (root / RECORDS[0]).parent.mkdir(parents=True)
    (root / RECORDS[0]).write_text("new form")
    before_the_runtime(root, kept, "slot_a", 0)
    assert held(root) == []


def test_of_one_that_stayed_nothing_is_put_back_after_the_next_one(root: Path, tmp_path: Path) -> None:
    kept = tmp_path / "updates"
    before_the_runtime(root, kept, "slot_b", 7)  # stays, and the machine is not started anew before the next one
    (root / RECORDS[0]).write_text("months later")
    before_the_runtime(root, kept, "slot_a", 9)
    before_the_runtime(root, kept, "slot_a", 0)
    assert held(root) == ["months later", "old form"] and not list(kept.iterdir())


def test_a_copy_that_is_half_gone_is_none(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "updates"
    before_the_runtime(root, kept, "slot_b", 7)
    removed = shutil.rmtree

    def cut(place: Path) -> None:
        (place / "0").unlink()
        raise OSError("the power is cut")

    monkeypatch.setattr(shutil, "rmtree", cut)
    before_the_runtime(root, kept, "slot_a", 0)
    monkeypatch.setattr(shutil, "rmtree", removed)
    before_the_runtime(root, kept, "slot_a", 0)
    assert held(root) == ["old form", "old form"] and not list(kept.iterdir())

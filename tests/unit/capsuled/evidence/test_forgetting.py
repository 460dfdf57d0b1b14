"""Evidence of updates that the state does not know any more."""

from pathlib import Path

import pytest

from capsuled.evidence.forgetting import forget
from capsuled.evidence.last_words import take
from capsuled.layout import hosted


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

"""Taking over what was laid down: whole or not at all, wherever it is cut."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from capsuled.layout import Layout, hosted
from capsuled.restoring import READY, Restored, laid_down, lay_down, make_room, take_over
from journal.entry import LOCAL
from journal.events import JournalRestored, OperatorEnrolled, OperatorRoleChanged
from journal.specs import Role
from projections.state import Machine, Operator

RESTORED = Restored(9, "ab" * 32, "0.0.1", 2, LOCAL)


def blank(directory: Path) -> Layout:
    layout = hosted(directory)
    layout.journal.mkdir(parents=True)
    layout.identity.mkdir()
    for name in ("data.mdb", "front.log", "head", "owner.lock"):
        (layout.journal / name).write_text("blank")
    layout.side_log.write_text("blank")
    return layout


def filled(layout: Layout) -> None:
    place = make_room(layout)
    for name in ("journal/data.mdb", "sealed/one", "sealed/two", "naming_key"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("archive")


def taken_over(layout: Layout) -> bool:
    return (
        sorted(path.name for path in layout.journal.iterdir()) == ["data.mdb", "owner.lock"]
        and not layout.side_log.exists()
        and (layout.journal / "data.mdb").read_text() == "archive"
        and sorted(path.name for path in layout.sealed.iterdir()) == ["one", "two"]
        and layout.naming_key.read_text() == "archive"
    )


def test_what_was_laid_down_is_in_its_place_after_the_start_and_told_of_until_it_is_cleared(tmp_path: Path) -> None:
    layout = blank(tmp_path)
    filled(layout)
    lay_down(layout, RESTORED)
    for _ in range(2):
        take_over(layout)
        assert taken_over(layout) and laid_down(layout) == RESTORED
    told = JournalRestored(9, "ab" * 32, "0.0.1", 2, apart=True)
    assert RESTORED.events(Machine(seq=9)) == (told,)
    assert RESTORED.events(Machine(seq=10)) == (), "it is told once"


def known(role: Role) -> dict[str, Operator]:
    return {"k1": Operator("k1", "cd" * 32, "ada at home", role, "", 1, 1)}


def test_whoever_asked_with_a_key_stays_an_admin_also_where_the_archive_does_not_know_it() -> None:
    restored = replace(RESTORED, own=Operator("k1", "cd" * 32, "ada", "admin", "", 5, 3))
    enrolled = OperatorEnrolled("k1", "cd" * 32, "ada", "admin")
    assert restored.events(Machine(seq=9))[1:] == (enrolled,)
    assert restored.events(Machine(seq=9, operators=known("reader")))[1:] == (OperatorRoleChanged("k1", "admin"),)
    assert restored.events(Machine(seq=9, operators=known("admin")))[1:] == ()


def test_a_start_that_was_cut_behind_the_first_of_these_facts_tells_the_others() -> None:
    restored = replace(RESTORED, own=Operator("k1", "cd" * 32, "ada", "admin", "", 5, 3))
    assert restored.events(Machine(seq=10)) == restored.events(Machine(seq=9))[1:] != ()
    assert restored.events(Machine(seq=10, operators=known("admin"))) == ()
    assert restored.events(Machine(seq=11)) == (), "who was thrown out since is not let in again"


def test_what_was_cut_off_before_it_counted_changes_nothing(tmp_path: Path) -> None:
    layout = blank(tmp_path)
    filled(layout)
    take_over(layout)
    assert (layout.journal / "data.mdb").read_text() == "blank" and not layout.restore.exists()
    assert laid_down(layout) is None


@pytest.mark.parametrize("step", range(8))
def test_a_start_that_is_cut_is_gone_on_with_by_the_next(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = blank(tmp_path)
    filled(layout)
    lay_down(layout, RESTORED)
    left = step

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", counted(os.replace))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            take_over(layout)
    assert (layout.restore / READY).exists()
    take_over(layout)
    assert taken_over(layout)
    shutil.rmtree(layout.restore)


def test_a_journal_with_a_file_system_of_its_own_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = blank(tmp_path)
    filled(layout)
    lay_down(layout, RESTORED)
    real = os.replace

    def across(source: Any, target: Any) -> None:
        if (Path(source).parent, Path(target).parent) == (layout.restore / "journal", layout.journal):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", across)
        take_over(layout)
    assert taken_over(layout) and not (layout.restore / "journal" / "data.mdb").exists()

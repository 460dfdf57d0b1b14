"""containerd's records over a trial: aside before it, back after one that went back, and forgotten once it stayed."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from capsuled.updates.runtime_files import RECORDS, Settled, before_the_runtime, crowded
from effects.images.room import SPARE_BYTES


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


def test_no_trial_begins_where_the_copies_would_not_fit(root: Path) -> None:
    wanted = len("old form") * len(RECORDS) + SPARE_BYTES
    assert crowded(root, lambda: wanted) == ""
    assert "a trial needs" in crowded(root, lambda: wanted - 1)
    (root / RECORDS[1]).unlink()
    assert crowded(root, lambda: wanted - 1) == ""


def test_room_that_cannot_be_looked_at_is_none(root: Path) -> None:
    def fails() -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert "cannot be looked at, and no trial begins without: Input/output error" in crowded(root, fails)


@pytest.mark.parametrize("record", RECORDS)
def test_a_copy_that_does_not_fit_leaves_nothing_behind(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    kept, copy = tmp_path / "updates", shutil.copyfile

    def copied(source: Path, target: Path) -> None:
        copy(source, target)
        if source == root / record:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", copied)
        with pytest.raises(OSError, match="No space left"):
            before_the_runtime(root, kept, "slot_b", 7)
    assert held(root) == ["old form", "old form"] and not list(kept.iterdir())
    tried(root, kept)
    assert before_the_runtime(root, kept, "slot_a", 0) == Settled() and held(root) == ["old form", "old form"]


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


def tried(root: Path, kept: Path) -> None:
    """A trial of slot b, whose containerd changed both records."""
    before_the_runtime(root, kept, "slot_b", 7)
    for record in RECORDS:
        (root / record).write_text("new form")


def stays(path: Path, missing_ok: bool = False) -> None:
    """Nothing goes from a disk that can only be read."""
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def no_room(monkeypatch: pytest.MonkeyPatch, record: str) -> None:
    """The disk is full by the time this record is copied."""
    copy = shutil.copyfile

    def copied(source: Path, target: Path) -> None:
        if target.parent.name == Path(record).parent.name:
            target.write_text("ha")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", copied)


@pytest.mark.parametrize("record", RECORDS)
def test_what_cannot_be_put_back_is_told_and_never_put_back_under_what_runs_meanwhile(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    kept = tmp_path / "updates"
    tried(root, kept)
    with monkeypatch.context() as patched:
        no_room(patched, record)
        settled = before_the_runtime(root, kept, "slot_a", 0)
    assert settled.starts and "before update 7 cannot be put back (No space left on device)" in settled.said
    assert held(root) == ["new form", "new form"] and not list(kept.iterdir()) and not list(root.rglob("*.new"))
    # The disk has room again, containers run by now, and the daemon begins anew.
    assert before_the_runtime(root, kept, "slot_a", 0) == Settled()
    assert held(root) == ["new form", "new form"]


def test_containerd_waits_while_it_is_not_sure_that_nothing_is_put_back_later(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "updates"
    tried(root, kept)

    with monkeypatch.context() as patched:
        no_room(patched, RECORDS[0])
        patched.setattr(Path, "unlink", stays)
        settled = before_the_runtime(root, kept, "slot_a", 0)
    assert not settled.starts and "containerd is not started" in settled.said and "Read-only" in settled.said
    assert before_the_runtime(root, kept, "slot_a", 0) == Settled()
    assert held(root) == ["old form", "old form"] and not list(kept.iterdir())


def test_containerd_is_not_started_on_one_record_of_each_kind(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "updates"
    tried(root, kept)
    replace = Path.replace

    def broken(path: Path, target: Path) -> Path:
        if target == root / RECORDS[1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", broken)
        settled = before_the_runtime(root, kept, "slot_a", 0)
    assert not settled.starts and held(root) == ["old form", "new form"]
    assert before_the_runtime(root, kept, "slot_a", 0) == Settled()
    assert held(root) == ["old form", "old form"] and not list(kept.iterdir())


def test_a_copy_of_one_that_stayed_keeps_no_container_from_starting(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "updates"
    tried(root, kept)

    monkeypatch.setattr(Path, "unlink", stays)
    assert before_the_runtime(root, kept, "slot_b", 0) == Settled()

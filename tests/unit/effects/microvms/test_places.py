"""Where a microVM's runs lie, and what is left of them."""

from pathlib import Path

import pytest

from effects.microvms.judging import Verdict
from effects.microvms.places import Key, MonitorRecord, Places, RunFiles, RunRecord
from effects.microvms.remains import Remains

KEY = Key("web", 7, 1)


def places(directory: Path) -> Places:
    return Places(directory / "state", directory / "run", directory / "logs")


def test_a_run_is_found_by_its_directory_with_what_was_written_down_of_it(tmp_path: Path) -> None:
    files = places(tmp_path).of(KEY)
    files.begin(RunRecord(revision=7, memory_bytes=5))
    files.remember(MonitorRecord(4711, 99, "boot"))
    files.judge(Verdict(3, 5))
    again = places(tmp_path)
    assert list(again.runs()) == [KEY]
    found = again.of(KEY)
    assert found.run() == RunRecord(7, memory_bytes=5)
    assert found.monitor() == MonitorRecord(4711, 99, "boot") and found.verdict() == Verdict(3, 5)


def test_a_run_that_begins_again_knows_nothing_of_its_last_try(tmp_path: Path) -> None:
    files = places(tmp_path).of(KEY)
    files.begin(RunRecord())
    files.remember(MonitorRecord(4711, 99, "boot"))
    files.end.write_bytes(b'{"started": 1}\n')
    files.begin(RunRecord())
    assert files.monitor() is None and files.verdict() is None and not files.end.exists()


def test_a_record_that_was_cut_counts_as_none_and_its_run_is_still_there(tmp_path: Path) -> None:
    files = places(tmp_path).of(KEY)
    files.begin(RunRecord(7))
    (files.directory / "run.json").write_bytes(b'{"revi')
    assert files.run() is None and list(places(tmp_path).runs()) == [KEY]


def test_a_removed_run_leaves_its_layer_and_logs_and_a_removed_workload_nothing(tmp_path: Path) -> None:
    made = places(tmp_path)
    made.prepare()
    files, other = made.of(KEY), made.of(Key("web", 8, 1))
    for one in (files, other):
        one.begin(RunRecord())
        one.agent.touch()
        one.serial.touch()
    layer, old = made.layer("web", 7, 9), made.layer("web", 7, 7)
    for path in (layer, old):
        path.touch()
    made.drop_layers("web", 7, but=layer)
    assert layer.exists() and not old.exists()
    files.remove()
    files.remove()
    assert list(made.runs()) == [Key("web", 8, 1)]
    assert layer.exists() and files.serial.exists() and not files.agent.exists()
    made.remove("web", 7)
    assert not layer.parent.exists() and not files.serial.exists() and other.serial.exists()
    other.remove()
    made.remove("web", 8)
    made.remove("web", 8)
    assert not list((tmp_path / "state").iterdir()) and not list((tmp_path / "logs").iterdir())


def test_what_cannot_be_removed_is_said(tmp_path: Path) -> None:
    made = places(tmp_path)
    (tmp_path / "state/web").mkdir(parents=True)
    (tmp_path / "state/web/7").write_text("not a directory")
    with pytest.raises(OSError):
        made.remove("web", 7)


def test_what_was_applied_together_has_one_uid_and_sockets_of_its_own(tmp_path: Path) -> None:
    one, other = places(tmp_path).of(KEY), places(tmp_path).of(Key("db", *KEY[1:]))
    assert one.agent != other.agent and one.power != other.power


def test_a_verdict_that_a_full_disk_does_not_take_is_remembered_as_long_as_somebody_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: RunFiles, verdict: Verdict) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(RunFiles, "judge", full)
    files, record = places(tmp_path).of(KEY), RunRecord()
    files.begin(record)
    files.remember(MonitorRecord(4711, 99, "boot"))
    files.end.write_bytes(b'{"started": 1}\n{"exit": 3}\n')
    remains = Remains(lambda key: "none", "boot")
    first = remains.judge(KEY, files, record)
    files.end.unlink()
    assert first is not None and first.exit_code == 3 and remains.judge(KEY, files, record) == first
    assert Remains(lambda key: "none", "boot").judge(KEY, files, record) is None

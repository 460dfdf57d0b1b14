"""Files of the command line: whole or not there, and there for good once a command goes on behind them."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from capsulectl import files
from capsulectl.errors import USAGE, Ended, Failure


def _new(path: Path) -> None:
    with files.new_file(path) as out:
        out.write(b"all of it")


def _replaced(path: Path) -> None:
    files.replace_file(path, b"all of it")


@pytest.mark.parametrize("write", [_new, _replaced])
def test_the_name_is_on_the_disk_before_what_stands_on_it_is_done(
    tmp_path: Path, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr(
        files, "sync_directory", lambda path: found.append((path, [one.name for one in path.iterdir()]))
    )
    write(tmp_path / "memory.capsule")
    assert found == [(tmp_path, ["memory.capsule"])]
    assert (tmp_path / "memory.capsule").read_bytes() == b"all of it"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=lambda one: one.name)
def test_whoever_is_ended_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "memory.capsule").write_bytes(b"as it was")
    with pytest.raises(Ended) as ended, files.new_file(tmp_path / "memory.capsule") as out:
        out.write(b"some of it")
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert [one.name for one in tmp_path.iterdir()] == ["memory.capsule"]
    assert (tmp_path / "memory.capsule").read_bytes() == b"as it was"


def test_two_that_are_written_to_one_name_at_once_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "memory.capsule"
    with files.new_file(path) as out:
        out.write(b"the first, ")
        out.flush()
        _new(path)
        assert path.read_bytes() == b"all of it"
        out.write(b"and all of it")
    assert path.read_bytes() == b"the first, and all of it"
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_is_ended_before_the_file_has_its_name_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(scratch: Path, target: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Path, "replace", ended)
    with pytest.raises(Ended):
        _new(tmp_path / "memory.capsule")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_replaced_is_as_it_was_and_nothing_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "config.yaml").write_text("as it was")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Failure, match=r"config\.yaml cannot be written: No space left on device"):
        files.replace_file(tmp_path / "config.yaml", b"another")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["as it was"]


def test_what_ends_on_the_way_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.new_file(tmp_path / "memory.capsule") as out:
        out.write(b"some of it")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/zero", "is a device, which may have no end"),
        ("/dev", "cannot be read: Is a directory"),
        ("/dev/nobody", "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_sent_to_its_end_is_not_begun(name: str, words: str) -> None:
    with pytest.raises(Failure, match=words) as refused:
        files.to_send(name)
    assert refused.value.code == USAGE


def test_what_is_sent_is_known_by_its_size(tmp_path: Path) -> None:
    (tmp_path / "volume").write_bytes(b"12345")
    source, size = files.to_send(str(tmp_path / "volume"))
    with source:
        assert (source.read(), size) == (b"12345", 5)


def test_a_small_bound_is_told_in_small_units() -> None:
    with pytest.raises(Failure, match="more than 64 KiB"):
        files.file_bytes("/dev/zero", 64 << 10)


@pytest.mark.parametrize(
    ("name", "words"), [("none/file", "there is no directory"), ("there", "--force"), (".", "no file")]
)
def test_where_a_file_cannot_be_is_said_before_anything_is_asked_for(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(Failure, match=words) as raised:
        files.check_new(str(tmp_path / name), force=False)
    assert raised.value.code == USAGE
    assert files.check_new(str(tmp_path / "new"), force=False) == tmp_path / "new"


def test_a_directory_that_we_make_is_ours_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _replaced(tmp_path / "made" / "config.yaml")
    _replaced(tmp_path / "made" / "config.yaml")
    assert (tmp_path / "made").stat().st_mode & 0o7777 == 0o700 and not capsys.readouterr().err


@pytest.mark.parametrize(
    ("mode", "told"), [(0o777, True), (0o1777, False), (0o775, True), (0o755, False), (0o700, False)]
)
def test_a_directory_that_is_there_stays_as_it_is_and_what_is_wrong_with_it_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int, told: bool
) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(mode)
    for name in ("config.yaml", "operator.ed25519"):
        _replaced(directory / name)
        assert (directory / name).stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o7777 == mode
    said = capsys.readouterr().err
    assert said.count(f"WARNING: others may put files in {directory}") == told and (told or not said)

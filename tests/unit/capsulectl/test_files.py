"""Files of the command line: whole or not there, and there for good once a command goes on behind them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from capsulectl import files


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


def test_what_ends_on_the_way_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.new_file(tmp_path / "memory.capsule") as out:
        out.write(b"some of it")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []

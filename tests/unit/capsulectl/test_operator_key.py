"""The operator's key: made once, also where two commands begin at the same time."""

import errno
import os
import threading
from pathlib import Path

import pytest

from capsulectl.operator_key import OperatorKey, load, load_or_make


@pytest.fixture
def beaten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[OperatorKey]:
    """Another command makes its key while ours is being made."""
    found: list[OperatorKey] = []

    def another(count: int) -> bytes:
        monkeypatch.setattr("os.urandom", real)
        found.append(load_or_make(tmp_path / "operator.ed25519"))
        return real(count)

    real = os.urandom
    monkeypatch.setattr("os.urandom", another)
    return found


def test_of_two_that_make_it_at_once_both_have_the_one_that_stays(tmp_path: Path, beaten: list[OperatorKey]) -> None:
    path = tmp_path / "operator.ed25519"
    mine = load_or_make(path)
    assert [one.kid for one in beaten] == [mine.kid] == [load(path).kid]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_many_at_once_have_one_key(tmp_path: Path) -> None:
    path, all_there, kids = tmp_path / "operator.ed25519", threading.Barrier(8), set()

    def make() -> None:
        all_there.wait()
        kids.add(load_or_make(path).kid)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kids == {load(path).kid}


def test_a_file_system_without_links_has_a_key_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(source: str, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", none_here)
    path = tmp_path / "operator.ed25519"
    assert load_or_make(path).kid == load_or_make(path).kid
    assert list(tmp_path.iterdir()) == [path]

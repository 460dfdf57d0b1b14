"""Sealed values in a file: only its passphrase opens it, and whatever was done to it is found."""

from functools import partial
from pathlib import Path

import pytest

from capsulectl import sealed_file
from capsulectl.errors import Failure
from capsulectl.sealed_file import Sealed, sealed, unsealed
from capsuled.sealing import Vault

CONTENT = Sealed("ab" * 16, bytes(range(32)), ("hunter2", "t0ken", "ünï\0code"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each passphrase is for those who try many."""
    monkeypatch.setattr(sealed_file, "LOG_N", 4)


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_what_was_sealed_is_opened_by_its_passphrase_and_no_other(tmp_path: Path) -> None:
    content = sealed(CONTENT, "correct horse")
    file = written(tmp_path / "sealed", content)
    assert unsealed(file, lambda: "correct horse") == CONTENT
    assert all(value.encode() not in content for value in CONTENT.values)
    assert sealed(CONTENT, "correct horse") != content, "salt and nonce are new each time"
    for other in ("correct horse ", "Correct horse", "x"):
        with pytest.raises(Failure, match="passphrase is another"):
            unsealed(file, partial(str, other))


def test_nobody_is_asked_for_the_passphrase_of_what_is_no_such_file(tmp_path: Path) -> None:
    def asked() -> str:
        raise AssertionError("a passphrase is asked for")

    with pytest.raises(Failure, match="No such file"):
        unsealed(str(tmp_path / "nowhere"), asked)
    with pytest.raises(Failure, match="no file of sealed secrets"):
        unsealed(written(tmp_path / "other", b"something else"), asked)


def test_its_values_have_the_names_that_the_machine_gave_them(tmp_path: Path) -> None:
    vault = Vault(tmp_path, b"of this machine alone", CONTENT.naming_key)
    assert CONTENT.names == {vault.name_of(value) for value in CONTENT.values}


def test_every_byte_of_it_counts(tmp_path: Path) -> None:
    content = sealed(CONTENT, "p")
    for at in range(0, len(content), 7):
        altered = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(Failure):
            unsealed(written(tmp_path / "altered", altered), lambda: "p")
    for end in (0, 10, 100, len(content) - 1):
        with pytest.raises(Failure):
            unsealed(written(tmp_path / "cut", content[:end]), lambda: "p")


def test_a_file_that_asks_for_all_memory_is_refused(tmp_path: Path) -> None:
    content = sealed(CONTENT, "p").replace(b'"log_n": 4', b'"log_n": 40')
    with pytest.raises(Failure, match="title"):
        unsealed(written(tmp_path / "greedy", content), lambda: "p")
    for figure, greedy in ((b'"r": 8', b'"r": 20'), (b'"p": 1', b'"p": 20')):
        with pytest.raises(Failure, match="title"):
            unsealed(written(tmp_path / "greedy", sealed(CONTENT, "p").replace(figure, greedy)), lambda: "p")


def test_an_empty_passphrase_is_none(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is empty"):
        sealed_file.passphrase_of(written(tmp_path / "empty", b"\n"), twice=True)
    assert sealed_file.passphrase_of(written(tmp_path / "two", b"one\ntwo\n"), twice=True) == "one"

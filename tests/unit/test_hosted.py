"""What `make up` keeps of what a daemon says."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import hosted


class Said:
    """A daemon that says who it is, at length."""

    pid = 7

    def __init__(self, argv: list[str], *, stdout: Any, **_: object) -> None:
        stdout.write(b"a daemon of so many starts before it: " + str(Said.starts).encode())
        Said.starts += 1

    starts = 0


def test_of_what_daemons_say_the_last_two_lives_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Said, "starts", 0)
    monkeypatch.setattr(subprocess, "Popen", Said)
    monkeypatch.setattr(hosted, "_until_it_answers", lambda state, starts: None)
    for _ in range(3):
        hosted.start(tmp_path)
    kept = {one.name: one.read_text()[-1] for one in tmp_path.iterdir()}
    assert kept == {"capsuled.out": "2", "capsuled.out.old": "1"}


def test_who_is_starting_keeps_what_it_says_where_another_is_started_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Said, "starts", 0)
    monkeypatch.setattr(subprocess, "Popen", Said)
    monkeypatch.setattr(hosted, "_until_it_answers", lambda state, starts: None)
    monkeypatch.setattr(hosted, "_is_held", lambda state: True)
    (tmp_path / "capsuled.out").write_text("the first: ")
    hosted.start(tmp_path)
    assert (tmp_path / "capsuled.out").read_text().startswith("the first: a daemon")
    assert [one.name for one in tmp_path.iterdir()] == ["capsuled.out"]

"""What a program elsewhere switched on in our terminal, and left."""

import os
from collections.abc import Callable

import pytest

from capsulectl.terminal import Terminal

SHOWN = b"\x1b[?1049h\x1b[?25l\x1b[?2004h$ "
BACK = b"\x1b[?25h\x1b[?1049l\x1b[?2004l\x1b[0m"


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[bytes]]:
    def undo(*seen: bytes, cut: bool) -> list[bytes]:
        written: list[bytes] = []
        made = Terminal()
        for data in seen:
            made.saw(data)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: written.append(data))
            made.undo(cut)
            made.undo(cut=False)
        return written

    return undo


def test_modes_that_are_on_are_switched_back_however_it_ended(undone: Callable[..., list[bytes]]) -> None:
    assert undone(SHOWN, cut=False) == [BACK]
    assert undone(SHOWN, cut=True) == [BACK + b"\r\n"], "and a line that broke off is ended"


def test_where_nothing_is_left_on_nothing_is_written(undone: Callable[..., list[bytes]]) -> None:
    tidied = SHOWN, b"\x1b[?2004l\x1b[?25", b"h\x1b[?1049l"
    assert undone(*tidied, cut=False) == [] and undone(b"$ ", cut=False) == [] and undone(cut=True) == []
    assert undone(b"one\r\n", cut=True) == [] and undone(b"one", cut=True) == [b"\r\n"]

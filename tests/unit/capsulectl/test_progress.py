"""A line of progress in windows of every width: how far it is is told in all of them."""

import contextlib
import os
import pty

import pytest

from capsulectl.progress import bar, line

PATH = "/home/somebody/build/images/update.tar"


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (119, f"{PATH}  [############------------] 50 MiB of 100 MiB  sending"),
        (79, "…build/images/update.tar  [############------------] 50 MiB of 100 MiB  sending"),
        (39, "…d/images/update.tar  50 MiB of 100 MiB"),
        (31, "…/update.tar  50 MiB of 100 MiB"),
        (19, "50 MiB of 100 MiB"),
    ],
)
def test_of_a_line_that_is_too_wide_the_path_is_cut_first_and_how_far_it_is_stays(width: int, told: str) -> None:
    assert line(PATH, 50 << 20, 100 << 20, "sending", width) == told


@pytest.mark.parametrize("width", range(20, 120))
def test_no_line_is_wider_than_its_window(width: int) -> None:
    for done, total, words in ((0, 0, "asking"), (5 << 20, 0, "asking"), (1 << 20, 9 << 30, "taking a snapshot")):
        text = line(PATH, done, total, words, width)
        assert len(text) <= width and ("1 MiB of 9 GiB" in text or not total)


def test_what_has_room_is_whole() -> None:
    assert line("web:1", 0, 0, "asking", 79) == "web:1  asking"
    assert line("web:1", 5 << 20, 0, "", 79) == "web:1  5 MiB"


def test_a_terminal_that_has_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    window, inside = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    went_on = False
    with contextlib.suppress(OSError), open(inside, "w", buffering=1) as stream:  # it is closed with what was not drawn
        monkeypatch.setattr("sys.stderr", stream)
        with bar() as show:
            show("data", 1_000, 10_000, "")
            os.close(window)
            show("data", 10_000, 10_000, "")
        went_on = True
    assert went_on

"""What a daemon that cannot go on says at its end: what failed, and of a disk that it is the state's."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from capsuled.__main__ import _failure
from effects import inotify

STATE = Path("/var/lib/capsule")


def error(number: int, filename: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), filename)


def test_a_file_is_named() -> None:
    assert _failure(error(errno.EACCES, "/etc/x"), STATE) == "/etc/x: Permission denied"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_write_that_its_disk_refuses_is_the_states(number: int) -> None:
    assert _failure(error(number), STATE) == f"{STATE}: {os.strerror(number)}"


def test_what_has_no_name_is_told_by_who_asked_and_not_as_the_states(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Libc:
        def inotify_init1(self, _: int) -> int:
            return -1

    monkeypatch.setattr(inotify, "_libc", Libc())
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EMFILE)
    with pytest.raises(OSError) as raised:
        inotify.instance()
    said = _failure(raised.value, STATE)
    assert said.startswith("Too many open files (in instance, ") and "effects/inotify.py:" in said
    assert str(STATE) not in said and "Traceback" in caplog.text


def test_an_error_in_words_is_told_in_them(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError) as raised:
        raise OSError("no such thing")
    assert _failure(raised.value, STATE).startswith("no such thing (in ")

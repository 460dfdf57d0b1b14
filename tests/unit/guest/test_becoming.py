"""How a process of a microVM becomes a command: where it stands then, and who it is."""

import os
import sys
from pathlib import Path

import pytest

from guest import becoming
from guest.run import Run, User
from tests.support.everybodys import open_to_everybody
from tests.support.runs_in_guests import described

PYTHON = os.path.realpath(sys.executable)
"""Everybody's: the link that leads there may be in a directory that only we enter."""
STAND = "import os; print(os.getuid(), os.getgid(), os.getgroups(), os.stat('/proc/self/cwd').st_ino)"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it becomes somebody else")


def became(cwd: Path, uid: int, gid: int) -> str:
    """What the command says, or why there is none."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        try:
            argv = [PYTHON, "-I", "-S", "-c", STAND]
            becoming.become(Run(described()), User(uid, gid, (gid,)), argv, [], str(cwd))
        except becoming.Unexecutable as error:
            os.write(1, f"{error.reason} {error}".encode())
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as said:
        words = said.read().strip()
    os.waitpid(child, 0)
    return words


def test_a_directory_that_only_root_may_enter_is_entered_before_the_rights_are_given_up(tmp_path: Path) -> None:
    home = tmp_path / "root"
    home.mkdir(0o700)
    assert became(home, 1_234, 5) == f"1234 5 [5] {home.stat().st_ino}"


def test_one_that_is_not_there_or_no_directory_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for place, why in ((tmp_path / "gone", "no such file or directory"), (file, "not a directory")):
        assert became(place, 1_234, 5) == f"BAD_WORKING_DIR the working directory {place} cannot be entered: {why}"


@pytest.mark.parametrize(("user_may", "words"), [(True, ""), (False, "cannot be entered: permission denied")])
def test_where_root_may_not_the_user_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_may: bool, words: str
) -> None:
    """As on a server that knows no root."""
    enter = os.chdir

    def chdir(place: str) -> None:
        if os.getuid() == 0 or not user_may:
            raise PermissionError(13, "Permission denied")
        enter(place)

    monkeypatch.setattr(os, "chdir", chdir)
    open_to_everybody(tmp_path)
    assert became(tmp_path, 1_234, 5).endswith(words or f" {tmp_path.stat().st_ino}")

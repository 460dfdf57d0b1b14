"""Long output in a window: in the pager as it comes, and whatever becomes of the pager nothing else is said."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.terminal import window
from tests.support.until import wait_until

ROWS = 5
LIST = """
import sys
from pathlib import Path
from time import sleep
from capsulectl.paging import show_page
def lines():
    yield from map("first {}".format, range(20))
    while not Path(sys.argv[1]).exists():  # as long as it has not been seen
        sleep(0.01)
    yield from map("then {}".format, range(int(sys.argv[2])))
show_page(lines())
print("goes on", flush=True)
"""
COPIES = """#!/usr/bin/python3
import sys
from pathlib import Path
for line in sys.stdin:
    print(sys.argv[1] + line, end="", flush=True)
    if line == "first 19\\n":
        Path(sys.argv[2]).touch()
"""
LEAVES = """#!/bin/sh
read line
echo "seen: $line"
touch "$1"
"""
MANY = 100_000


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def environment(more: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PAGER", "MANPAGER", "LESS")}
    return {**kept, "TERM": "xterm"} | more


def shown(seen: Path, more: dict[str, str], many: int = 3) -> str:
    with window(rows=ROWS) as made:
        made.run([sys.executable, "-c", LIST, seen, str(many)], environment(more))
        assert made.ends() == 0
        return made.screen.decode().replace("\r\n", "\n")


ALL = [f"first {number}" for number in range(20)] + [f"then {number}" for number in range(3)]


def test_a_pager_with_arguments_shows_what_has_come_before_the_rest_has(tmp_path: Path) -> None:
    pager = script(tmp_path / "copies", COPIES)
    told = shown(tmp_path / "seen", {"PAGER": f"{pager} paged: {tmp_path}/seen"})
    assert told.splitlines() == [*(f"paged:{line}" for line in ALL), "goes on"]


def test_whoever_leaves_the_pager_has_seen_enough(tmp_path: Path) -> None:
    pager = script(tmp_path / "leaves", LEAVES)
    told = shown(tmp_path / "seen", {"PAGER": f"{pager} {tmp_path}/seen"}, MANY)
    assert told.splitlines() == ["seen: first 0", "goes on"]


@pytest.mark.parametrize("here", [("less", "more"), ("more",), ()])
def test_where_no_pager_is_named_it_is_the_one_that_is_here_or_none(tmp_path: Path, here: tuple[str, ...]) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    (tmp_path / "seen").touch()
    for name in here:
        script(tmp_path / "bin" / name, f'#!/bin/sh\nwhile read line; do echo "{name} $LESS: $line"; done\n')
    told = shown(tmp_path / "seen", {"PATH": str(tmp_path / "bin")})
    before = f"{here[0]} FRSX: " if here else ""
    assert told.splitlines() == [*(f"{before}{line}" for line in ALL), "goes on"]


@pytest.mark.parametrize("more", [{"PAGER": ""}, {"PAGER": "cat"}, {"TERM": "dumb"}])
def test_where_none_is_wanted_all_is_printed(tmp_path: Path, more: dict[str, str]) -> None:
    (tmp_path / "seen").touch()
    assert shown(tmp_path / "seen", more).splitlines() == [*ALL, "goes on"]


def test_a_pager_that_is_missing_is_named_by_the_shell(tmp_path: Path) -> None:
    (tmp_path / "seen").touch()
    told = shown(tmp_path / "seen", {"PAGER": "no-such-pager"}, MANY)
    assert "no-such-pager" in told and "not found" in told and told.endswith("\ngoes on\n")


def test_a_ctrl_c_ends_what_comes_and_the_pager_has_the_terminal_until_it_is_left(tmp_path: Path) -> None:
    waits = f"trap 'echo interrupted' INT; read line; touch {tmp_path}/seen; read -r key < /dev/tty; echo left $key"
    pager = script(tmp_path / "waits", f"#!/bin/bash\n{waits}\n")
    with window(rows=ROWS) as made:
        made.run([sys.executable, "-c", LIST, tmp_path / "none", "3"], environment({"PAGER": str(pager)}))
        wait_until((tmp_path / "seen").exists, "the pager has read a line")
        made.type(b"\x03")
        made.sees("interrupted")
        made.type("q\n")
        made.sees("left q")
        made.sees("goes on")
        assert made.ends() == 0

"""Who hears PID 1, and which keys it hears."""

import os
from pathlib import Path

from init import console
from init.main import Init, be_spared, take_keys


def consoles(place: Path, *names: str) -> tuple[int, ...]:
    """Those that the kernel names, in `place`."""
    (place / "active").write_text(" ".join(names) + "\n")
    return console.opened(str(place / "active"), str(place))


def test_what_it_says_is_on_the_screen_as_on_the_serial_line(tmp_path: Path) -> None:
    for name in ("tty0", "ttyS0"):
        (tmp_path / name).touch()
    Init(consoles(tmp_path, "tty0", "ttyS0")).say("no watchdog: /dev/watchdog: No such file or directory")
    said = "capsule: no watchdog: /dev/watchdog: No such file or directory\r\n"
    assert {name: (tmp_path / name).read_bytes().decode() for name in ("tty0", "ttyS0")} == {
        "tty0": said,
        "ttyS0": said,
    }


def test_a_line_that_is_not_there_or_takes_nothing_costs_the_screen_nothing(tmp_path: Path) -> None:
    (tmp_path / "tty0").touch()
    os.mkfifo(tmp_path / "ttyS0")
    reader = os.open(tmp_path / "ttyS0", os.O_RDONLY | os.O_NONBLOCK)
    opened = consoles(tmp_path, "ttyS1", "ttyS0", "tty0")
    lines = 2000
    for number in range(lines):
        console.show(opened, f"capsule: {number:>60}")
    assert len((tmp_path / "tty0").read_bytes().splitlines()) == lines
    (full,) = (fd for fd in opened if os.fstat(fd).st_ino == os.fstat(reader).st_ino)
    assert len(os.read(reader, 1 << 20)) < lines * 60 and not os.get_blocking(full)
    os.close(reader)
    console.show(opened, "nobody has the other end")
    assert (tmp_path / "tty0").read_bytes().endswith(b"nobody has the other end\r\n")


def test_where_the_kernel_names_none_it_is_the_one_that_there_always_is(tmp_path: Path) -> None:
    (tmp_path / "console").touch()
    console.show(console.opened(str(tmp_path / "absent"), str(tmp_path)), "said")
    assert (tmp_path / "console").read_bytes() == b"said\r\n"


def test_ctrl_alt_del_is_made_a_signal_and_where_it_cannot_be_nothing_ends(tmp_path: Path) -> None:
    (tmp_path / "ctrl-alt-del").write_text("1\n")
    take_keys(str(tmp_path / "ctrl-alt-del"))
    assert (tmp_path / "ctrl-alt-del").read_text() == "0\n"
    take_keys(str(tmp_path / "absent/ctrl-alt-del"))


def test_pid_1_and_what_it_starts_are_spared_where_memory_runs_out(tmp_path: Path) -> None:
    (tmp_path / "oom_score_adj").write_text("0\n")
    be_spared(str(tmp_path / "oom_score_adj"))
    assert int((tmp_path / "oom_score_adj").read_text()) < 0
    be_spared(str(tmp_path / "absent/oom_score_adj"))

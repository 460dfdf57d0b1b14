"""The operator's own terminal while a process elsewhere has it: its size, its raw mode, and the way back from there."""

import contextlib
import fcntl
import os
import re
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MODE = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")
_TAIL_BYTES = 32
# Modes that a program switches on and its death leaves behind: the other screen, the mouse, focus, pasting, keys.
_SWITCHED_ON = frozenset({1, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004})
_CURSOR = 25


def size() -> tuple[int, int] | None:
    """(columns, rows) of the terminal that any of our streams leads to; None when none does, or it does not know."""
    for fd in (1, 0, 2):
        try:
            rows, cols = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        except OSError:
            continue
        if cols and rows:
            return cols, rows
    return None


def is_terminal(fd: int) -> bool:
    """Whether a descriptor leads to a terminal; a closed one does not."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


class Terminal:
    """Standard input's terminal. What is written to it goes through `write`, which remembers what to undo."""

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._modes: set[int] = set()
        self._tail = b""

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Every key goes through as it is. However this ends, the terminal is as it was before."""
        saved = termios.tcgetattr(self._fd)
        try:
            self.enter()
            yield
        finally:
            self.leave(saved)

    def enter(self) -> None:
        """Into raw mode; again after a stop, too."""
        with contextlib.suppress(termios.error):
            tty.setraw(self._fd, termios.TCSADRAIN)

    def leave(self, saved: list[Any]) -> None:
        """Back to what it was. A terminal that has gone needs nothing any more."""
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, saved)

    def saw(self, data: bytes) -> None:
        """Note which modes the program's output switches."""
        text = self._tail + data
        for numbers, switch in _MODE.findall(text):
            for number in map(int, filter(None, numbers.split(b";"))):
                left_behind = number in _SWITCHED_ON if switch == b"h" else number == _CURSOR
                (self._modes.add if left_behind else self._modes.discard)(number)
        self._tail = text[-_TAIL_BYTES:]

    def undo(self, cut: bool) -> None:
        """Switch back what a program left switched on: it was killed, or forgot. `cut`: its output broke off, maybe in
        the midst of a line."""
        undone = [f"\x1b[?{number}{'h' if number == _CURSOR else 'l'}" for number in sorted(self._modes)]
        ends_a_line = not cut or self._tail.endswith((b"\n", b"\r")) or not self._tail
        text = "".join(undone) + ("\x1b[0m" if undone else "") + ("" if ends_a_line else "\r\n")
        if text:
            with contextlib.suppress(OSError):
                os.write(1, text.encode())
        self._modes.clear()

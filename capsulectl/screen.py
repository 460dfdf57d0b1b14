"""A window that a command has to itself: another screen, keys one by one, and the way back however it ends."""

import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from capsulectl.errors import Failure
from capsulectl.terminal import size

_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_ESCAPE = b"\x1b"
_KEY_BYTES = 64


class Screen:
    """Standard input's and output's terminal. Keys come one by one and unseen; Ctrl-C and Ctrl-Z mean what they do."""

    def __init__(self) -> None:
        self._woken, self._waker = os.pipe()  # pipe2 would do the rest, too, but is Linux's
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._saved: list[Any] = []

    def wake(self) -> None:
        """From any thread, or a signal's handler: `waits` returns."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b".")

    def waits(self) -> str | None:
        """Wait until a key is pressed or somebody wakes; the keys, empty for none, None once nobody can press any."""
        ready, _, _ = select.select((0, self._woken), (), ())
        if self._woken in ready:
            os.read(self._woken, _KEY_BYTES)
        if 0 not in ready:
            return ""
        keys = os.read(0, _KEY_BYTES)
        if not keys:
            return None
        # An arrow and its like is a sequence, of which nothing is a letter that was pressed.
        return "" if keys.startswith(_ESCAPE) else keys.decode(errors="ignore")

    def draw(self, lines: Sequence[str]) -> None:
        """Put these lines on the screen, cut to its size, in one go."""
        cols, rows = size() or (80, 24)
        shown = "\r\n".join(line[:cols] + _REST_OF_LINE for line in lines[:rows])
        _write(_HOME + shown + _REST_OF_SCREEN)

    def _enter(self) -> None:
        tty.setcbreak(0, termios.TCSADRAIN)
        _write(_ENTER)

    def _leave(self) -> None:
        _write(_LEAVE)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """The window is ours within; afterwards, and while it is stopped, it is as it was."""
        self._saved = termios.tcgetattr(0)
        handlers: dict[int, Callable[[int, Any], None]] = {
            signal.SIGWINCH: lambda number, frame: self.wake(),
            signal.SIGTSTP: lambda number, frame: self._rest(),
            signal.SIGTERM: _end,
            signal.SIGHUP: _end,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            self._enter()
            yield
        finally:
            self._leave()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _rest(self) -> None:
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter()
        self.wake()


def _end(number: int, frame: Any) -> None:
    raise Failure("", 128 + number)


def _write(text: str) -> None:
    """All of it. A window that was closed needs nothing any more."""
    data = text.encode(errors="replace")
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(1, data) :]

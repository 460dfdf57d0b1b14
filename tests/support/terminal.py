"""A real terminal for tests: a pseudo terminal whose other end is the operator's keyboard and screen."""

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WAIT_S = 20.0


class Window:
    """A terminal window in which one command runs, as a shell would start it: in the foreground, with the terminal as
    its own. `modes` is what `stty` would show."""

    def __init__(self, cols: int, rows: int) -> None:
        self._keyboard, self._line = os.openpty()
        self.resize(cols, rows, tell=False)
        self.screen = b""
        self.before = self.modes()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, argv: list[str | Path], environment: Mapping[str, str], **streams: Any) -> None:
        """Start the command. `streams` may put something else in place of the terminal."""
        ends = {"stdin": self._line, "stdout": self._line, "stderr": self._line, **streams}
        if ends["stdin"] == self._line:
            # Without a line of Python between fork and exec: gRPC, which this process has, may hang there.
            whole = ["/usr/bin/setsid", "--ctty", *argv]
            self.process = subprocess.Popen(whole, env=environment, **ends)
            return
        self.process = subprocess.Popen(
            argv,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(self._line, termios.TIOCSCTTY, 0) and None,
            **ends,
        )

    def modes(self) -> list[Any]:
        """Everything that a raw mode changes."""
        return termios.tcgetattr(self._line)

    @property
    def raw(self) -> bool:
        """Whether keys go through one by one, unseen and without meaning."""
        return not self.modes()[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was."""
        return self.modes() == self.before

    def resize(self, cols: int, rows: int, tell: bool = True) -> None:
        """The operator pulls at the window's corner."""
        fcntl.ioctl(self._keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, keys: str | bytes) -> None:
        """Keys are pressed."""
        os.write(self._keyboard, keys.encode() if isinstance(keys, str) else keys)

    def sees(self, text: str) -> bytes:
        """Wait until the screen has shown `text`; what was shown up to it, which is then forgotten."""
        wanted, deadline = text.encode(), time.monotonic() + WAIT_S
        while wanted not in self.screen:
            assert self._read(deadline), f"never seen: {text!r}, but {self.screen!r}"
        shown, _, self.screen = self.screen.partition(wanted)
        return shown + wanted

    def ends(self) -> int:
        """Wait for the command's end; its exit code. The screen then has all that it wrote."""
        assert self.process is not None
        deadline = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.screen!r}"
            self._read(time.monotonic() + 0.02)
        while self._read(time.monotonic()):
            pass
        return self.process.returncode

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select((self._keyboard,), (), (), max(0.0, deadline - time.monotonic()))
        if ready:
            self.screen += os.read(self._keyboard, 65_536)
        return bool(ready)

    def hang_up(self) -> None:
        """The window is closed."""
        if self._keyboard >= 0:
            os.close(self._keyboard)
            self._keyboard = -1

    def close(self) -> None:
        """Nothing is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()
        os.close(self._line)


@contextmanager
def window(cols: int = 100, rows: int = 30) -> Iterator[Window]:
    """A window for one command."""
    made = Window(cols, rows)
    try:
        yield made
    finally:
        made.close()

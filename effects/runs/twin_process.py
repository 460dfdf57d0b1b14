"""A simulated process that an exec started in a simulated container.

Programs are told by their first word: `true`, `exit N`, `echo WORDS`, `cat` (until its input ends), `sleep` (until it
is ended), `stubborn` (until it is killed), and `size` (prints the terminal's rows and columns, again at each change).
"""

import asyncio

from effects.runs.exec_protocol import ExecRequest, Window

HANGUP, INTERRUPT, KILL = 1, 2, 9
_INTERRUPT_KEY, _END_KEY = b"\x03", b"\x04"


class TwinProcess:
    """One process; the world outlives whoever holds it. `written` ends with None."""

    def __init__(self, request: ExecRequest) -> None:
        self.request = request
        self.exit_code: int | None = None
        self.ended = asyncio.Event()
        self.written: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._program = request.argv[0]
        self._begin()

    def _begin(self) -> None:
        words = self.request.argv[1:]
        match self._program:
            case "true":
                self.end(0)
            case "exit":
                self.end(int(words[0]))
            case "echo":
                self._print(" ".join(words))
                self.end(0)
            case "size":
                self._print_size(self.request.window)
        if not self.request.stdin:
            self.read_end()

    def _print(self, line: str) -> None:
        self.written.put_nowait(line.encode() + (b"\r\n" if self.request.tty else b"\n"))

    def _print_size(self, window: Window) -> None:
        self._print(f"{window.rows} {window.cols}")

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    def end(self, code: int) -> None:
        """It ends, unless it has."""
        if self.alive:
            self.exit_code = code
            self.written.put_nowait(None)
            self.ended.set()

    def signal(self, number: int) -> None:
        """A signal reaches it."""
        if self._program != "stubborn" or number == KILL:
            self.end(128 + number)

    def read(self, data: bytes) -> None:
        """Something was typed, or written to its input."""
        if not self.alive:
            return
        if self.request.tty and _INTERRUPT_KEY in data:
            self.signal(INTERRUPT)
        elif self._program == "cat":
            text, key, _ = data.partition(_END_KEY) if self.request.tty else (data, b"", b"")
            self.written.put_nowait(text)
            if key:
                self.end(0)

    def read_end(self) -> None:
        """Nothing more will come. A terminal does not tell its process."""
        if self._program == "cat" and not self.request.tty:
            self.end(0)

    def resize(self, window: Window) -> None:
        """Its terminal, if it has one, changes."""
        if self._program == "size" and self.request.tty and self.alive:
            self._print_size(window)

"""What it takes to run a further process inside a running workload."""

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from journal.specs import Kind


class Window(msgspec.Struct, frozen=True):
    """A terminal's size, in characters. This one is what a terminal has whose client never says its own."""

    cols: int = 80
    rows: int = 24


class ExecRequest(msgspec.Struct, frozen=True):
    """A process to run beside a run's own. `env` adds to the run's; `user` and `working_dir` replace its own.

    Without `stdin` its standard input is at its end from the beginning. With `tty` the process has a terminal of its
    own, `window` large; its standard error is that terminal, too. `patient`: somebody waits who rather waits a little
    for a runtime that is just starting than hears that it does not answer.
    """

    name: str
    uid: int
    run: int
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    stdin: bool = True
    tty: bool = False
    window: Window = Window()
    user: str = ""
    working_dir: str = ""
    kind: Kind = "container"
    patient: bool = False


class ExecSession(Protocol):
    """A process that was started. Whoever holds it must `close` it, which ends the process if it is still there.

    What is handed to it while the runtime does not answer arrives once it does: only `wait` and `close` can fail.
    """

    async def write(self, data: bytes) -> None:
        """Hand `data` to its standard input; waits while the process does not read. Dropped once it has ended."""
        ...

    async def end_input(self) -> None:
        """End of file on its standard input. A terminal has no such end: there it only says that nothing more comes."""
        ...

    async def resize(self, window: Window) -> None:
        """The terminal has another size from now on, and the process is told. Without a terminal: nothing."""
        ...

    async def signal(self, number: int) -> None:
        """Send it a signal. Nothing, once it has ended."""
        ...

    def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """(1 or 2, bytes) as the process writes them, until both are at their end; with a terminal always 1."""
        ...

    async def wait(self) -> int:
        """Its exit code."""
        ...

    async def close(self) -> None:
        """Nothing of the process is left. One that still lives is hung up on, as by a terminal, and then killed.
        Raises RuntimeUnavailable when it ended and the runtime could not be told to forget it."""
        ...


class Executor(Protocol):
    """Opens such processes."""

    async def open(self, request: ExecRequest) -> ExecSession:
        """Start the process. Raises NotRunning, EntrypointMissing, NotExecutable, BadUser, RuntimeUnavailable."""
        ...

    async def sweep(self) -> None:
        """End what an earlier life of the daemon left open; what this one opened goes on. Raises DriverError when
        something of it could not be ended: to be tried again."""
        ...

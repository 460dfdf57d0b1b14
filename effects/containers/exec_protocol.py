"""What it takes to run a further process inside a running container."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class ExecRequest(msgspec.Struct, frozen=True):
    """A process to run beside a run's own. `env` adds to the container's."""

    name: str
    uid: int
    run: int
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


class ExecSession(Protocol):
    """A process that was started. Whoever holds it must `close` it, which ends the process if it is still there."""

    async def write(self, data: bytes) -> None:
        """Hand `data` to its standard input; waits while the process does not read. Dropped once it has ended."""
        ...

    async def end_input(self) -> None:
        """End of file on its standard input."""
        ...

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1 or 2, bytes) as the process writes them, until both are at their end."""
        ...

    async def wait(self) -> int:
        """Its exit code."""
        ...

    async def close(self) -> None:
        """Nothing of the process is left."""
        ...


class Executor(Protocol):
    """Opens such processes."""

    async def open(self, request: ExecRequest) -> ExecSession:
        """Start the process. Raises NotRunning, EntrypointMissing, RuntimeUnavailable."""
        ...

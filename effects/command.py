"""How a driver runs a process: what starts them is handed to it."""

import signal
from collections.abc import Awaitable
from typing import Protocol


class Command(Protocol):
    """Runs a process to its end and returns its exit code (negative: the signal that ended it) and what it printed,
    both streams together."""

    def __call__(self, *argv: str) -> Awaitable[tuple[int, str]]: ...


def how_it_ended(code: int) -> str:
    """In words, for a message: `exit 3`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit {code}"
    known = {one.value: one.name for one in signal.Signals}
    return f"killed by {known.get(-code, f'signal {-code}')}"

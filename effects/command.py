"""How a driver runs a process: what starts them is handed to it."""

from collections.abc import Awaitable
from typing import Protocol


class Command(Protocol):
    """Runs a process to its end and returns its exit code and what it printed, both streams together."""

    def __call__(self, *argv: str) -> Awaitable[tuple[int, str]]: ...

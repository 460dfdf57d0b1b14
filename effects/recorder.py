"""The way into the journal that whoever acts needs."""

from collections.abc import Sequence
from typing import Protocol

from journal.events import Event
from projections.state import Machine


class Recorder(Protocol):
    """The way into the journal that the runner and its actions need; the daemon's engine is one."""

    @property
    def machine(self) -> Machine:
        """The head state."""
        ...

    def record(self, events: Sequence[Event], cause: int = 0, reserved: bool = False, *, vital: bool = False) -> int:
        """Append and fold; the first entry's seq, 0 if there was none."""
        ...

    async def durable(self) -> None:
        """Return once everything recorded so far is durable."""
        ...

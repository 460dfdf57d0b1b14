"""A recorder of which only the state is asked, as it stands in a story."""

from collections.abc import Sequence

from journal.events import Event
from projections.state import Machine


class Kept:
    """See above."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def record(self, events: Sequence[Event], cause: int = 0, reserved: bool = False, *, vital: bool = False) -> int:
        raise AssertionError("nothing is recorded here")

    async def durable(self) -> None:
        raise AssertionError("nothing is recorded here")

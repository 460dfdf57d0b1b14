"""A boot loader of which nobody knows what it will boot: a write of its variables is told to have failed."""

from typing import Literal

from effects.slots.protocol import LoaderFailed, LoaderState
from effects.slots.twin import SlotDisk, Step, TwinLoader

Unsure = Literal["", "before", "behind"]


class UnsureLoader(TwinLoader):
    """Whoever makes what is on trial the default is told that it failed: before it reached the disk, or behind that."""

    def __init__(self, disk: SlotDisk, step: Step, trial: str, unsure: Unsure) -> None:
        super().__init__(disk, step)
        self._trial, self._unsure = trial, unsure

    async def write(self, state: LoaderState) -> None:
        """See BootLoader."""
        fails = self._unsure if state.default_slot == self._trial else ""
        if fails != "before":
            await super().write(state)
        if fails:
            raise LoaderFailed("the boot loader's variables cannot be told from what they were")

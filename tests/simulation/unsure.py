"""A boot loader of which nobody knows what it will boot: a write of its variables is told to have failed."""

from collections.abc import Callable
from typing import Literal

from effects.slots.protocol import LoaderFailed, LoaderState
from effects.slots.twin import SlotDisk, Step, TwinLoader

Unsure = Literal["", "before", "behind"]


class UnsureLoader(TwinLoader):
    """Whoever makes what is on trial the default, or has a system booted once, is told that it failed: before it reached
    the disk, or behind that. `of` says which writes that is so of."""

    def __init__(self, disk: SlotDisk, step: Step, of: Callable[[LoaderState], bool], unsure: Unsure) -> None:
        super().__init__(disk, step)
        self._of, self._unsure = of, unsure

    async def write(self, state: LoaderState) -> None:
        """See BootLoader."""
        fails = self._unsure if self._of(state) else ""
        if fails != "before":
            await super().write(state)
        if fails:
            raise LoaderFailed("the boot loader's variables cannot be told from what they were")


def confirms(slot: str) -> Callable[[LoaderState], bool]:
    """Makes this slot the default."""
    return lambda state: state.default_slot == slot


def arms(state: LoaderState) -> bool:
    """Has a system booted once."""
    return state.next_slot is not None

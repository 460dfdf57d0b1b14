"""What the drivers of slots and of the boot loader must do: the contract that the real ones and the twins keep.

Neither decides anything. Every method may be called again after any crash. Failures are SlotFailed and LoaderFailed.
"""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from effects.errors import DriverError

Slot = Literal["slot_a", "slot_b"]
SLOTS: tuple[Slot, Slot] = ("slot_a", "slot_b")


def other(slot: str) -> Slot:
    """The slot beside this one."""
    return "slot_a" if slot == "slot_b" else "slot_b"


class SlotFailed(DriverError):
    """Raised when a slot's partition cannot be written or read."""

    reason = "SLOT_FAILED"


class LoaderFailed(DriverError):
    """Raised when the boot loader's variables cannot be written, or read back as they were written."""

    reason = "LOADER_FAILED"


class LoaderState(msgspec.Struct, frozen=True):
    """The boot loader's variables. It boots `next_slot` once, where it is set, and takes that back before it loads
    anything; else `default_slot`. `update` is the update that `next_slot` is of, and `window_s` how long its system may
    run unconfirmed. It notes the update whose one boot it gave in `tried`, and in `refused` the one that it could not
    load. `damaged`: there was nothing that it could read, and it boots its built-in default."""

    default_slot: Slot = "slot_a"
    next_slot: Slot | None = None
    update: int = 0
    window_s: int = 0
    tried: int = 0
    refused: int = 0
    damaged: bool = False


class BootLoader(Protocol):
    """The boot loader's variables on one machine."""

    async def read(self) -> LoaderState:
        """As they are on the disk. Raises LoaderFailed."""
        ...

    async def write(self, state: LoaderState) -> None:
        """They are so, on the disk: read back and compared. A power cut leaves the former ones or these. Raises
        LoaderFailed."""
        ...


class Room(msgspec.Struct, frozen=True):
    """The sizes of a slot's partitions."""

    boot_bytes: int
    root_bytes: int

    def of(self, member: str) -> int:
        """What a member of a bundle may take."""
        return self.boot_bytes if member == "boot.img" else self.root_bytes


class Written(msgspec.Struct, frozen=True):
    """What came of a write: how many bytes it was, and the hex SHA-256 of what the disk has of them by now."""

    size_bytes: int
    sha256: str


class SlotStore(Protocol):
    """The slots' partitions on one machine."""

    async def room(self, slot: Slot) -> Room:
        """Raises SlotFailed."""
        ...

    async def write(self, slot: Slot, member: str, chunks: AsyncIterator[bytes]) -> Written:
        """The member's partition begins with these bytes, on the disk: all were read back from there, and are what
        came. What it raises, or the chunks do, leaves a slot that is not to be booted. Raises SlotFailed."""
        ...

    async def read_back(self, slot: Slot, member: str, size: int) -> str:
        """The hex SHA-256 of the partition's first bytes, as the disk has them. Raises SlotFailed."""
        ...

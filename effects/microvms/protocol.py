"""What the driver of microVMs needs of others: images as disks, agents in guests, the guest's own image."""

from pathlib import Path
from typing import Protocol

import msgspec

from effects.microvms.places import Key
from effects.microvms.relay import Dial
from effects.runs.process import Identity, ImageConfig


class Payload(msgspec.Struct, frozen=True):
    """An image as a microVM uses it: the read-only disk of its file system, and what it says about the process."""

    disk: Path
    config: ImageConfig


class PayloadSource(Protocol):
    """The images of this machine, as disks."""

    async def payload(self, digest: str) -> Payload:
        """Made where it is not there yet. Raises ImageMissing, ImageUnreadable, NoSpace, PayloadFailed."""
        ...

    async def identity(self, digest: str, user: str) -> Identity:
        """The numbers of a user, by the image's own files. Raises BadUser, and what `payload` raises."""
        ...


class Agents(Protocol):
    """The ways to the agents in guests."""

    def add(self, key: Key, dial: Dial) -> None:
        """There is one, and its stream is dialled so: keep a way to it, until `remove`."""
        ...

    def remove(self, key: Key) -> None:
        """There is none any more."""
        ...

    async def stop(self, key: Key, signal: int, grace_ms: int) -> None:
        """Ask it to end its payload; returns once it has heard. Raises DriverError where it cannot be asked."""
        ...


class GuestImage(msgspec.Struct, frozen=True):
    """What every microVM with an image boots: a kernel, its first file system in memory, and the disk `guest`."""

    kernel: Path
    initrd: Path
    root: Path


class GuestSource(Protocol):
    """Where the guest's image is."""

    async def find(self) -> GuestImage:
        """It may have to be made first. Raises DriverLacks where it cannot be, GuestImageFailed where it is not yet."""
        ...

"""What keeps the payload disks must do: the contract that the real one and its twin both keep.

A payload disk is an image's layers, merged, as one read-only file system in one file. It is called after the image's
platform digest, made once, and shared by every microVM of that image. What is in it can be made again from the image,
and if it is damaged, is. Every method may be called again after any crash. Failures are `DriverError`s.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol


class PayloadDisks(Protocol):
    """The payload disks of one machine."""

    async def sweep(self) -> None:
        """Remove what a daemon that died left half made. Once, before anything else is asked."""
        ...

    async def ensure(self, digest: str) -> str:
        """The disk of the image with this platform digest is there, whole and durable; returns its path. Of several who
        want the same one, one makes it, and goes on with it when whoever asked first goes away. Raises ImageMissing,
        ImageUnreadable, NoSpace, PayloadFailed, RuntimeUnavailable."""
        ...

    async def observe(self) -> Mapping[str, int]:
        """Every disk there is by its digest, and what it takes in bytes."""
        ...

    async def collect(self, keep: Callable[[], Collection[str]]) -> int:
        """No disk is there but those of the digests that `keep` says, those that a virtual machine has open, and those
        that are being made. It is asked in the very moment in which they go: who asked for one after it was declared
        does not lose it. Returns the bytes that this freed."""
        ...

    async def close(self) -> None:
        """Nothing that was begun goes on. Before the state is let go of, and nothing is asked afterwards."""
        ...

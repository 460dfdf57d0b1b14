"""What a driver of volumes asks of the guests that have them attached: their file systems are the guests' own.

Volumes are named by incarnation, as in the driver's protocol; that a guest answers in time is seen to here.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from effects.errors import GuestSilent
from projections.storage import Fill


class Guests(Protocol):
    """The guests of the microVMs of one machine."""

    def frozen(self, name: str, uid: int) -> AbstractAsyncContextManager[None]:
        """Inside, everything that was written into the volume is in its file, and nothing is written. Afterwards it
        goes on, also when nobody is left to say so. Raises GuestSilent before; and after, with whatever says so, when
        it did not hold still to the end: what was copied meanwhile is of more moments than one."""
        ...

    async def usage(self, name: str, uid: int) -> Fill | None:
        """How full its file system is; None when no guest that could say so has it. Raises DriverError when the one
        that has it does not answer in time."""
        ...


class NoGuests:
    """Where no guest can be asked."""

    @asynccontextmanager
    async def frozen(self, name: str, uid: int) -> AsyncIterator[None]:
        """See the protocol."""
        raise silent(name)
        yield

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        return None


def silent(name: str) -> GuestSilent:
    """Nobody holds the volume still."""
    return GuestSilent(
        f"the guest of the microVM that has volume {name} does not answer: without it a snapshot would be of no one "
        "moment, and none was taken. Restart the microVM, or stop it and take the snapshot then"
    )

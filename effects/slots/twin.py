"""The simulated twins of slots and boot loader: a disk in memory, and a boot loader that chooses as the real one does.

`step` is called before and after whatever reaches the disk, so that a crash can be put there.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec.structs import replace

from effects.slots.protocol import LoaderFailed, LoaderState, Room, Slot, SlotFailed, Written, other

Step = Callable[[str], Awaitable[None]]


class NothingLoads(Exception):
    """Raised where the boot loader can load neither slot, and resets the machine."""


class SlotDisk:
    """What outlives a power cut: the variables and what stands in each slot. `fails` is what the disk refuses now:
    `variables` or `slot`; `firmware_writes` says whether the boot loader itself can write them, `firmware_lies` that
    it is told so, and nothing is written; `loads` says whether what stands in a slot can be loaded."""

    def __init__(self, room: Room = Room(1 << 20, 1 << 20)) -> None:
        self.state = LoaderState()
        self.content: dict[tuple[Slot, str], bytes] = {}
        self.room = room
        self.fails = ""
        self.firmware_writes = True
        self.firmware_lies = False
        self.loads: Callable[[Slot], bool] = lambda slot: True

    def boot(self) -> tuple[Slot, Slot, int, int]:
        """The boot loader's turn: which slot it boots, its default, the update and the window that it hands to the
        kernel (0 where it is no trial). Raises NothingLoads."""
        state = self.state
        if state.next_slot is not None and self.firmware_writes:
            slot = state.next_slot
            state = self._noted(replace(state, next_slot=None, tried=state.update, refused=0))
            if self.loads(slot):
                if slot != state.default_slot:
                    return slot, state.default_slot, state.update, state.window_s
                return slot, state.default_slot, 0, 0
            state = self._noted(replace(state, refused=state.update))
        for slot in (state.default_slot, other(state.default_slot)):
            if self.loads(slot):
                return slot, state.default_slot, 0, 0
        raise NothingLoads

    def _noted(self, state: LoaderState) -> LoaderState:
        if not self.firmware_lies:
            self.state = state
        return state


class TwinLoader:
    """See BootLoader."""

    def __init__(self, disk: SlotDisk, step: Step) -> None:
        self._disk = disk
        self._step = step

    async def read(self) -> LoaderState:
        """See BootLoader."""
        await self._step("loader.read")
        return self._disk.state

    async def write(self, state: LoaderState) -> None:
        """See BootLoader."""
        await self._step("loader.write")
        if self._disk.fails == "variables":
            raise LoaderFailed("the twin's disk does not take the boot loader's variables")
        self._disk.state = replace(state, damaged=False)
        await self._step("loader.written")


class TwinSlots:
    """See SlotStore."""

    def __init__(self, disk: SlotDisk, step: Step) -> None:
        self._disk = disk
        self._step = step

    async def room(self, slot: Slot) -> Room:
        """See SlotStore."""
        return self._disk.room

    async def write(self, slot: Slot, member: str, chunks: AsyncIterator[bytes]) -> Written:
        """See SlotStore."""
        await self._step("slot.write")
        self._disk.content[slot, member] = b""
        async for chunk in chunks:
            if self._disk.fails == "slot":
                raise SlotFailed("the twin's disk does not take the slot")
            if len(self._disk.content[slot, member]) + len(chunk) > self._disk.room.of(member):
                raise SlotFailed(f"{member} is larger than its partition, which has {self._disk.room.of(member)} bytes")
            self._disk.content[slot, member] += chunk
        await self._step("slot.written")
        size = len(self._disk.content[slot, member])
        return Written(size, await self.read_back(slot, member, size))

    async def read_back(self, slot: Slot, member: str, size: int) -> str:
        """See SlotStore."""
        await self._step("slot.read")
        room = self._disk.room.of(member)
        if room < size:
            raise SlotFailed(f"the twin's slot ends after {room} bytes, and {size} were written")
        held = self._disk.content.get((slot, member), b"").ljust(size, b"\0")
        return hashlib.sha256(held[:size]).hexdigest()

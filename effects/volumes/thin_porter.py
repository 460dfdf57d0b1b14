"""Carries the content of thin volumes: a snapshot is activated and read, what is only zeroes is left out; what comes is
written into a thin volume of its own, whose blocks that nobody writes take no room.
"""

import asyncio
import os
from collections.abc import Iterator

from effects.command import Command
from effects.errors import SnapshotMissing
from effects.unbroken import taken, to_its_end
from effects.volumes import files
from effects.volumes.conditions import translated
from effects.volumes.ext4 import check_staged
from effects.volumes.thin_driver import STAGED, snapshot_of
from effects.volumes.thin_group import ThinGroup


class ThinPorter:
    """See the protocol."""

    def __init__(self, command: Command, group: ThinGroup) -> None:
        self._command = command
        self._group = group

    async def read(self, name: str, uid: int, snapshot: int) -> "ThinReading":
        """See the protocol. The device stays for whoever reads next: an open one cannot be taken away."""
        wanted = snapshot_of(name, uid, snapshot)
        one = (await self._group.look()).get(wanted)
        if one is None or not one.whole:
            raise SnapshotMissing(f"snapshot {snapshot} of volume {name} is gone: there is no {wanted} in the group")
        if not one.active:
            await self._group.activate(wanted)
        try:
            device, data_bytes = self._group.device(wanted), max(1, min(one.used_bytes, one.size_bytes))
            # Left open by a call that was cancelled, it would keep the snapshot from being removed.
            return await taken(asyncio.to_thread(ThinReading, device, one.size_bytes, data_bytes), ThinReading.close)
        except OSError as error:
            raise translated(error) from error

    async def stage(self, staged: str, size_bytes: int) -> "ThinStaging":
        """See the protocol."""
        await self.unstage(staged)
        return await taken(self._begun(f"{STAGED}{staged}", size_bytes), ThinStaging.close)

    async def _begun(self, name: str, size_bytes: int) -> "ThinStaging":
        await self._group.create(name, size_bytes)
        try:
            return await asyncio.to_thread(ThinStaging, self._command, self._group, name)
        except OSError as error:
            raise translated(error) from error

    async def unstage(self, staged: str) -> None:
        """See the protocol."""
        name = f"{STAGED}{staged}"
        if name in await self._group.look():
            await self._group.remove(name)


class ThinReading:
    """A snapshot's device, open."""

    def __init__(self, device: str, size_bytes: int, data_bytes: int) -> None:
        self._fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = size_bytes
        self.data_bytes = data_bytes

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """See the protocol."""
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield from files.data(self._fd, 0, self.size_bytes)

    def close(self) -> None:
        """See the protocol."""
        os.close(self._fd)


class ThinStaging:
    """A thin volume that is being written. What is not settled has its tag: where nobody unstages it, the next life
    removes it."""

    def __init__(self, command: Command, group: ThinGroup, name: str) -> None:
        self._command = command
        self._group = group
        self._name = name
        self._fd = os.open(group.device(name), os.O_WRONLY | os.O_CLOEXEC)

    def write(self, offset: int, content: bytes) -> None:
        """See the protocol."""
        files.write(self._fd, offset, content)

    async def settle(self) -> None:
        """See the protocol. What cannot be mended by itself is refused before there is a volume of it."""
        try:
            await to_its_end(asyncio.to_thread(os.fsync, self._fd))
        except OSError as error:
            raise translated(error) from error
        await check_staged(self._command, self._group.device(self._name))
        await self._group.finish(self._name)

    def close(self) -> None:
        """See the protocol."""
        os.close(self._fd)

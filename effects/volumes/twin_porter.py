"""The simulated twin of what carries volumes: their content is a number, of eight bytes at the beginning."""

from collections.abc import Iterator

from effects.errors import SnapshotMissing
from effects.volumes.twin import Step, Storage


class TwinPorter:
    """Carries out of a storage and into it. See the protocol."""

    def __init__(self, storage: Storage, step: Step) -> None:
        self._storage = storage
        self._step = step

    async def read(self, name: str, uid: int, snapshot: int) -> "TwinReading":
        """See the protocol."""
        await self._step("read volume")
        volume = self._storage.volumes.get((name, uid))
        if volume is None or snapshot not in volume.snapshots:
            raise SnapshotMissing(f"snapshot {snapshot} of volume {name} is gone")
        return TwinReading(volume.size_bytes, volume.snapshots[snapshot])

    async def stage(self, staged: str, size_bytes: int) -> "TwinStaging":
        """See the protocol."""
        await self._step("stage volume")
        return TwinStaging(self._storage, self._step, staged, size_bytes)

    async def unstage(self, staged: str) -> None:
        """See the protocol."""
        await self._step("unstage volume")
        self._storage.staged.pop(staged, None)


class TwinReading:
    """A snapshot's number."""

    def __init__(self, size_bytes: int, content: int) -> None:
        self.size_bytes = size_bytes
        self.data_bytes = 8 if content else 0
        self._content = content

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """See the protocol."""
        if self._content:
            yield 0, self._content.to_bytes(8, "big")

    def close(self) -> None:
        """See the protocol."""


class TwinStaging:
    """A number that comes."""

    def __init__(self, storage: Storage, step: Step, staged: str, size_bytes: int) -> None:
        self._storage = storage
        self._step = step
        self._staged = staged
        self._size_bytes = size_bytes
        self._content = 0

    def write(self, offset: int, content: bytes) -> None:
        """See the protocol."""
        if offset == 0:
            self._content = int.from_bytes(content[:8], "big")

    async def settle(self) -> None:
        """See the protocol."""
        await self._step("settle staged")
        self._storage.staged[self._staged] = (self._size_bytes, self._content)

    def close(self) -> None:
        """See the protocol."""

"""The simulated twin of volumes: a storage in memory whose contents are numbers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import partial

import msgspec

from effects.errors import GuestSilent, NotDetached, SnapshotMissing, VolumeBusy, VolumeFailed, VolumeMissing
from projections.storage import Fill, SeenSnapshot, SeenVolume, SnapshotMethod

Step = Callable[[str], Awaitable[None]]

Key = tuple[str, int]
"""(name, uid)"""


class TwinVolume(msgspec.Struct):
    """One volume of the world. `content` is whatever the workload last wrote; `asked_at` and `snapshots_asked_at`: when
    it and its snapshots were asked for."""

    size_bytes: int
    content: int = 0
    mounted: bool = False
    read_only: bool = False
    attached: bool = False
    snapshots: dict[int, int] = {}
    asked_at: int = 0
    snapshots_asked_at: dict[int, int] = {}


class Storage:
    """Everything on the disk. `formats` counts how often each incarnation was given a file system; `in_use` says
    whether a process or a virtual machine of the world has the volume at a path open; `scratch` is what is half made,
    `staged` what came whole for volumes to be: size and content; `aside`: contents that stood where another was to
    be; `silent`: no guest answers. `post` brings news of a mount to who listens: at once and once, unless a test knows
    better."""

    def __init__(self) -> None:
        self.in_use: Callable[[str], bool] = lambda path: False
        self.post: Callable[[Callable[[], None]], None] = lambda put: put()
        self.silent = False
        self.volumes: dict[Key, TwinVolume] = {}
        self.formats: dict[Key, int] = {}
        self.scratch: set[tuple[str, int, int]] = set()
        self.staged: dict[str, tuple[int, int]] = {}
        self.aside: list[int] = []
        self._listeners: list[asyncio.Queue[None]] = []

    def listen(self) -> "asyncio.Queue[None]":
        """A queue of changes of mounts."""
        queue: asyncio.Queue[None] = asyncio.Queue()
        self._listeners.append(queue)
        return queue

    def unmount(self, key: Key) -> None:
        """Another hand's `umount`: whoever has the volume open goes on with it."""
        self.volumes[key].mounted = False
        for listener in self._listeners:
            self.post(partial(listener.put_nowait, None))

    def lose_power(self) -> None:
        """Mounts are gone; contents stay."""
        self._listeners.clear()
        for volume in self.volumes.values():
            volume.mounted = volume.read_only = volume.attached = False


class TwinVolumes:
    """A driver on a storage. See the protocol."""

    def __init__(self, storage: Storage, step: Step) -> None:
        self._storage = storage
        self._step = step

    def _existing(self, name: str, uid: int) -> TwinVolume:
        volume = self._storage.volumes.get((name, uid))
        if volume is None:
            raise VolumeMissing(f"volume {name} is gone")
        return volume

    def _is_open(self, name: str, uid: int) -> bool:
        """Whether it is mounted or attached, or something has it open although it is not."""
        volume = self._storage.volumes.get((name, uid))
        if volume is None:
            return False
        return volume.mounted or volume.attached or self._storage.in_use(self.path(name, uid)) or self._held(name, uid)

    def _held(self, name: str, uid: int) -> bool:
        """Whether a virtual machine has it open."""
        return self._storage.in_use(self._disk(name, uid))

    def _disk(self, name: str, uid: int) -> str:
        return f"{self.path(name, uid)}.disk"

    async def mounts(self) -> AsyncIterator[None]:
        """See the protocol."""
        queue = self._storage.listen()
        while True:
            await queue.get()
            yield

    async def thaw(self) -> None:
        """See the protocol."""
        await self._step("thaw volumes")

    async def mounted(self) -> frozenset[Key]:
        """See the protocol."""
        await self._step("observe volumes")
        return frozenset(key for key, one in self._storage.volumes.items() if one.mounted or one.attached)

    async def sweep(self, staged: frozenset[str], begun: Callable[[], Collection[str]] = tuple) -> None:
        """See the protocol."""
        await self._step("sweep volumes")
        self._storage.scratch.clear()
        for one in set(self._storage.staged) - staged - set(begun()):
            del self._storage.staged[one]

    async def observe(self) -> tuple[SeenVolume, ...]:
        """See the protocol."""
        await self._step("observe volumes")
        return tuple(
            SeenVolume(
                name,
                uid,
                one.size_bytes,
                one.size_bytes,
                one.mounted or one.attached,
                tuple(SeenSnapshot(number, one.size_bytes, 0, "reflink") for number in one.snapshots),
                one.mounted and one.read_only,
            )
            for (name, uid), one in self._storage.volumes.items()
        )

    async def make(self, name: str, uid: int, size_bytes: int, asked_at: int = 0) -> None:
        """See the protocol."""
        await self._step("make volume")
        if self._has(name, uid, asked_at):
            await self.grow(name, uid, size_bytes)
            return
        scratch = (name, uid, 0)
        self._storage.scratch.add(scratch)
        await self._step("format volume")
        if scratch not in self._storage.scratch:
            raise VolumeFailed(f"volume {name} was swept away while it was made")
        self._storage.scratch.discard(scratch)
        self._storage.volumes[name, uid] = TwinVolume(size_bytes, asked_at=asked_at)
        self._storage.formats[name, uid] = self._storage.formats.get((name, uid), 0) + 1
        await self._step("volume made")

    def _has(self, name: str, uid: int, asked_at: int) -> bool:
        there = self._storage.volumes.get((name, uid))
        if there is None or there.asked_at == asked_at:
            return there is not None
        self._storage.aside += [there.content, *there.snapshots.values()]
        del self._storage.volumes[name, uid]
        return False

    def _has_snapshot(self, volume: TwinVolume, snapshot: int, asked_at: int) -> bool:
        if snapshot not in volume.snapshots or volume.snapshots_asked_at.get(snapshot, 0) == asked_at:
            return snapshot in volume.snapshots
        self._storage.aside.append(volume.snapshots.pop(snapshot))
        return False

    async def adopt(self, name: str, uid: int, staged: str, asked_at: int = 0, keeps: Collection[int] = ()) -> None:
        """See the protocol."""
        await self._step("adopt volume")
        if staged in self._storage.staged:
            before = self._storage.volumes.get((name, uid), TwinVolume(0))
            kept = {number: one for number, one in before.snapshots.items() if number in keeps}
            self._storage.aside += [one for number, one in before.snapshots.items() if number not in kept]
            if before.size_bytes:
                self._storage.aside.append(before.content)
            size_bytes, content = self._storage.staged.pop(staged)
            times = {number: one for number, one in before.snapshots_asked_at.items() if number in kept}
            adopted = TwinVolume(size_bytes, content, snapshots=kept, asked_at=asked_at, snapshots_asked_at=times)
            self._storage.volumes[name, uid] = adopted
        elif (name, uid) not in self._storage.volumes:
            raise VolumeMissing(f"what was imported as volume {name} is gone")
        await self._step("volume adopted")

    async def grow(self, name: str, uid: int, size_bytes: int) -> None:
        """See the protocol."""
        await self._step("grow volume")
        volume = self._existing(name, uid)
        if volume.size_bytes < size_bytes:
            if self._is_open(name, uid):
                raise NotDetached(f"volume {name} is in use")
            volume.size_bytes = size_bytes
        await self._step("volume grown")

    async def mount(self, name: str, uid: int) -> str:
        """See the protocol."""
        await self._step("mount")
        volume = self._existing(name, uid)
        if volume.attached or self._held(name, uid):
            raise VolumeBusy(f"volume {name} is attached to a microVM")
        if volume.mounted and volume.read_only:
            await self.unmount(name, uid)
        volume.mounted = True
        await self._step("mounted")
        return self.path(name, uid)

    async def unmount(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self._step("unmount")
        volume = self._storage.volumes.get((name, uid))
        if volume is not None and volume.mounted:
            if self._storage.in_use(self.path(name, uid)):
                raise VolumeBusy(f"volume {name} is used")
            volume.mounted = volume.read_only = False
        await self._step("unmounted")

    async def attach(self, name: str, uid: int) -> str:
        """See the protocol."""
        await self._step("attach volume")
        volume = self._existing(name, uid)
        in_a_guest = self._held(name, uid) and not volume.attached
        if volume.mounted or in_a_guest or self._storage.in_use(self.path(name, uid)):
            raise VolumeBusy(f"volume {name} is used")
        volume.attached = True
        await self._step("volume attached")
        return self._disk(name, uid)

    async def detach(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self._step("detach volume")
        volume = self._storage.volumes.get((name, uid))
        if volume is not None and volume.attached:
            if self._held(name, uid):
                raise VolumeBusy(f"a virtual machine has volume {name} open")
            volume.attached = False
        await self._step("volume detached")

    async def remove(self, name: str, uid: int, asked_at: int = 0) -> None:
        """See the protocol."""
        await self.unmount(name, uid)
        await self.detach(name, uid)
        if self._is_open(name, uid):
            raise VolumeBusy(f"volume {name} is used")
        if asked_at:
            self._has(name, uid, asked_at)
        self._storage.volumes.pop((name, uid), None)
        await self._step("volume removed")

    async def snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> SnapshotMethod:
        """See the protocol."""
        await self._step("snapshot")
        volume = self._existing(name, uid)
        if not self._has_snapshot(volume, snapshot, asked_at):
            if volume.mounted and volume.read_only:
                raise VolumeFailed(f"volume {name} takes no writes")
            if self._is_open(name, uid) and not (volume.mounted or volume.attached):
                raise VolumeFailed(f"volume {name} was unmounted while it is used")
            if volume.attached and self._held(name, uid) and self._storage.silent:
                raise GuestSilent(f"the guest that has volume {name} does not answer")
            scratch = (name, uid, snapshot)
            self._storage.scratch.add(scratch)
            content = volume.content
            await self._step("clone volume")
            if scratch not in self._storage.scratch:
                raise VolumeFailed(f"a snapshot of volume {name} was swept away while it was taken")
            self._storage.scratch.discard(scratch)
            volume.snapshots[snapshot], volume.snapshots_asked_at[snapshot] = content, asked_at
        await self._step("snapshot taken")
        return "reflink"

    async def restore(self, name: str, uid: int, snapshot: int, size_bytes: int) -> None:
        """See the protocol."""
        await self._step("restore")
        volume = self._existing(name, uid)
        if self._is_open(name, uid):
            raise NotDetached(f"volume {name} is in use")
        if snapshot not in volume.snapshots:
            raise SnapshotMissing(f"snapshot {snapshot} of volume {name} is gone")
        await self._step("clone volume")
        volume.content = volume.snapshots[snapshot]
        await self._step("restored")

    async def remove_snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> None:
        """See the protocol."""
        await self._step("remove snapshot")
        volume = self._storage.volumes.get((name, uid))
        if volume is not None:
            if asked_at:
                self._has_snapshot(volume, snapshot, asked_at)
            volume.snapshots.pop(snapshot, None)
        await self._step("snapshot removed")

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        volume = self._storage.volumes.get((name, uid))
        if volume is None or not (volume.mounted or self._held(name, uid)):
            return None
        if not volume.mounted and self._storage.silent:
            raise GuestSilent(f"the guest that has volume {name} does not answer")
        return Fill(volume.size_bytes, 0)

    async def pool(self) -> Fill:
        """See the protocol."""
        used = sum(volume.size_bytes for volume in self._storage.volumes.values())
        return Fill(1 << 40, used)

    async def close(self) -> None:
        """See the protocol."""

    def path(self, name: str, uid: int) -> str:
        """See the protocol."""
        return f"/volumes/{name}.{uid}"

"""What a driver of volumes must do: the contract that the sparse one, the LVM one and the twin all keep.

A volume is named by incarnation (`name`, `uid`): one that was deleted and made again is another. Every method may be
called again after any crash: it looks, compares, acts. A half-made thing is never shown and never used. Failures are
`DriverError`s.

Uids are numbers of entries, which come again where an older export went in the journal's place. `asked_at` is when that
entry was written, in nanoseconds: what stands under the name and was asked for at another time is another journal's. It
is set aside, told to who reads the log, and never used or lost.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import Protocol

from projections.storage import Fill, SeenVolume, SnapshotMethod


class VolumeDriver(Protocol):
    """Volumes on one kind of storage."""

    async def thaw(self) -> None:
        """What a crash left frozen goes on. Before anything else is asked of the driver, only then; in every life."""
        ...

    async def sweep(self, staged: frozenset[str], begun: Callable[[], Collection[str]] = tuple) -> None:
        """Put away what a crash left half made, and what was staged but for these. Before a volume is made or a
        snapshot is taken, only then; what this life has `begun` to stage stays, whole or half of it. That is asked once
        it is known what there is. What cannot be put away is told, and holds up nothing."""
        ...

    async def observe(self) -> tuple[SeenVolume, ...]:
        """Every whole volume there is, also one that cannot be looked at now: what is not here is gone."""
        ...

    async def mounted(self) -> frozenset[tuple[str, int]]:
        """The (name, uid) of every volume that is mounted or attached, also of those whose storage is gone under
        them."""
        ...

    async def make(self, name: str, uid: int, size_bytes: int, asked_at: int = 0) -> None:
        """The volume is there with a file system of this size. An existing one that was asked for then is never
        formatted; it grows as with `grow`. Another is set aside, with its snapshots. Raises NoSpace."""
        ...

    async def grow(self, name: str, uid: int, size_bytes: int) -> None:
        """The volume, which was made, has at least this size; nobody has it open (NotDetached otherwise). Raises
        VolumeMissing when it is not there: nothing is made in its place. Raises NoSpace, VolumeDamaged."""
        ...

    async def adopt(self, name: str, uid: int, staged: str, asked_at: int = 0, keeps: Collection[int] = ()) -> None:
        """The volume is there as asked for then, with what was staged under this name as its content, and keeps these
        snapshots. What is staged still has not become it: whatever stands in its place is set aside, and so is every
        other snapshot of it, before it. Raises VolumeMissing when neither is there."""
        ...

    async def mount(self, name: str, uid: int) -> str:
        """The volume is mounted and can be written, after a check if it needs one; returns where. One that went read
        only by an error is mounted anew; one that another hand unmounted while it was open, as it is, for whoever has
        it open. Raises VolumeMissing, VolumeDamaged, and VolumeBusy also while it is attached."""
        ...

    async def unmount(self, name: str, uid: int) -> None:
        """The volume is not mounted and everything written is on the disk. Raises VolumeBusy."""
        ...

    async def attach(self, name: str, uid: int) -> str:
        """The volume may be opened by a virtual machine, after a check if it needs one; returns the path of what it
        opens, which is not mounted here. One that a virtual machine has open since it was attached is left alone.
        Raises VolumeMissing, VolumeDamaged, and VolumeBusy while it is mounted, or somebody else has it open."""
        ...

    async def detach(self, name: str, uid: int) -> None:
        """The volume is not attached and everything written is on the disk. Raises VolumeBusy while a virtual machine
        has it open."""
        ...

    async def remove(self, name: str, uid: int, asked_at: int = 0) -> None:
        """Neither the volume nor a snapshot of it is there; with an `asked_at`, another of that name is set aside, with
        its snapshots. Raises VolumeBusy."""
        ...

    async def snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> SnapshotMethod:
        """The snapshot is there, taken at one moment even of a mounted volume, and of one that a virtual machine has
        open, whose guest freezes it. Another of that name is set aside. Raises NoSpace, VolumeMissing, GuestSilent when
        that guest does not answer in time, and VolumeFailed of one that went read only by an error, or is open and
        neither mounted nor attached, or was not frozen to the end: what is on the disk is half of something."""
        ...

    async def restore(self, name: str, uid: int, snapshot: int, size_bytes: int) -> None:
        """The volume's content is the snapshot's, grown to `size_bytes`; both go on. Raises NotDetached if mounted
        or attached, NoSpace, SnapshotMissing, SnapshotDamaged; whatever it raises, the volume is as it was."""
        ...

    async def remove_snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> None:
        """The snapshot is not there; with an `asked_at`, another of that name is set aside."""
        ...

    async def usage(self, name: str, uid: int) -> Fill | None:
        """How full the volume's file system is; None while nobody has it open, or in a guest that boots or ends. What
        a guest that has it does not tell is no None: that raises, and soon."""
        ...

    def mounts(self) -> AsyncIterator[None]:
        """Whenever another hand may have unmounted something; own acts may be told of, too."""
        ...

    async def pool(self) -> Fill:
        """How full the storage under all volumes is."""
        ...

    async def close(self) -> None:
        """Nothing that was begun goes on. Before the state is let go of, and nothing is asked afterwards."""
        ...

    def path(self, name: str, uid: int) -> str:
        """Where the volume is while it is mounted."""
        ...


class Reading(Protocol):
    """What a snapshot holds, open: it can be read to its end whatever becomes of the snapshot. It blocks: for a
    thread."""

    @property
    def size_bytes(self) -> int:
        """Of the volume, as it was then."""
        ...

    @property
    def data_bytes(self) -> int:
        """About how much of it is data."""
        ...

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """What is data: offset and bytes, in order. Raises OSError."""
        ...

    def close(self) -> None:
        """Nothing more is read."""
        ...


class Staging(Protocol):
    """The content of a volume to be, which is not seen before it is whole. `write` and `close` block: for a thread."""

    def write(self, offset: int, content: bytes) -> None:
        """Put this there. Raises OSError."""
        ...

    async def settle(self) -> None:
        """All has come: it is on the disk, its file system is sound, and `adopt` finds it. Raises NoSpace,
        VolumeDamaged."""
        ...

    def close(self) -> None:
        """Nothing more is written. What was not settled is for `unstage` to put away."""
        ...


class VolumePorter(Protocol):
    """Carries what volumes hold out of a storage and into it."""

    async def read(self, name: str, uid: int, snapshot: int) -> Reading:
        """Open a snapshot. Raises SnapshotMissing."""
        ...

    async def stage(self, staged: str, size_bytes: int) -> Staging:
        """Begin the content of a volume of this size. Raises NoSpace, VolumeTooLarge. Whoever began puts away what no
        volume will be made of, also what was begun when this raised or was cancelled."""
        ...

    async def unstage(self, staged: str) -> None:
        """What was staged under this name is not there, whole or half of it. It is closed."""
        ...

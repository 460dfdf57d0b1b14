"""The driver of volumes on the operating system: a thin logical volume each, ext4 in it.

    vol-NAME.UID              the volume            snap-NAME.UID.SNAPSHOT    a snapshot
    new-NAME.UID              what a restore makes  old-NAME.UID              what it takes the place of
    staged-STAGED             came whole, for a volume to be (thin_porter.py)
    strangerNUMBER-…          another journal's, set aside (asked.py)

What is not whole has a tag, and is removed when the next life begins. A restore gives the new content its name by two
renames: at every moment between them the next life knows which one counts.
"""

import logging
import re
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

from msgspec.structs import replace

from effects.command import Command, how_it_ended
from effects.errors import (
    DriverError,
    NotDetached,
    SnapshotMissing,
    VolumeBusy,
    VolumeFailed,
    VolumeMissing,
)
from effects.volumes import asked
from effects.volumes.conditions import on_thread
from effects.volumes.ext4 import BLOCK_BYTES, MKFS, check, check_snapshot, growth, is_mounted_anywhere
from effects.volumes.mount_news import mount_news
from effects.volumes.superblock import filesystem_bytes
from effects.volumes.thin_group import Logical, ThinGroup, full, is_full
from effects.volumes.uses import Backing, Uses
from projections.storage import Fill, SeenSnapshot, SeenVolume, SnapshotMethod

_NAME = re.compile(r"(?P<kind>vol|snap|new|old)-(?P<name>[^.]+)\.(?P<uid>\d+)(?:\.(?P<snapshot>\d+))?")
STAGED = "staged-"
_STAYS = "It stays until the next start of the daemon tries again: mend what LVM says, or remove it by hand"

log = logging.getLogger(__name__)


def volume_of(name: str, uid: int) -> str:
    """What a volume's logical volume is called."""
    return f"vol-{name}.{uid}"


def snapshot_of(name: str, uid: int, snapshot: int) -> str:
    """What a snapshot's is called."""
    return f"snap-{name}.{uid}.{snapshot}"


def _snapshots_of(volume: str, there: Collection[str]) -> list[str]:
    """What is there of a volume's snapshots, be it there or not; of a snapshot's none."""
    return [one for one in there if one.startswith(f"snap-{volume.removeprefix('vol-')}.")]


def _of_restore(name: str, uid: int) -> tuple[str, str, str]:
    """What a restore has to do with: the volume, its content to be, and what that takes the place of."""
    return volume_of(name, uid), f"new-{name}.{uid}", f"old-{name}.{uid}"


class ThinVolumes:
    """See the protocol. `mounts` is volatile."""

    def __init__(self, command: Command, group: ThinGroup, mounts: Path) -> None:
        self._command = command
        self._group = group
        self.uses = Uses(command, self._good, Backing(self._device, self._ready, _somewhere), mounts)

    async def close(self) -> None:
        """See the protocol. A command that was begun was waited for, or ended with whoever waited."""

    # --- looking -------------------------------------------------------------------------------------------------

    async def thaw(self) -> None:
        """See the protocol."""
        await self._group.resume()

    async def sweep(self, staged: frozenset[str], begun: Callable[[], Collection[str]] = tuple) -> None:
        """See the protocol."""
        there = await self._group.look()
        whole = {name for name, one in there.items() if one.whole}
        stays = whole & {f"{STAGED}{one}" for one in staged} | {f"{STAGED}{one}" for one in begun()}
        for name in there:
            if name in stays:
                continue
            try:
                await self._put_away(name, whole)
            except DriverError as error:
                log.warning("%s, which a life before left half made, cannot be put away: %s. %s", name, error, _STAYS)

    async def _put_away(self, name: str, whole: set[str]) -> None:
        match = _NAME.fullmatch(name)
        if name.startswith(STAGED):
            await self._group.remove(name)
        elif match is not None:
            volume, new, _ = _of_restore(match["name"], int(match["uid"]))
            better = {"new": {volume}, "old": {volume, new}}.get(match["kind"])
            if name not in whole or (better is not None and better & whole):
                await self._group.remove(name)
            elif better is not None:
                await self._group.rename(name, volume)  # between the two renames of a restore

    async def mounted(self) -> frozenset[tuple[str, int]]:
        """See the protocol."""
        return await self.uses.mounted()

    async def observe(self) -> tuple[SeenVolume, ...]:
        """See the protocol."""
        there = await self._group.look()
        uses = await self.uses.seen()
        found: list[SeenVolume] = []
        snapshots: dict[tuple[str, int], list[SeenSnapshot]] = {}
        for name, one in sorted(there.items()):
            match = _NAME.fullmatch(name)
            if match is None or not one.whole:
                continue
            key = match["name"], int(match["uid"])
            if match["kind"] == "snap" and match["snapshot"]:
                seen = SeenSnapshot(int(match["snapshot"]), one.size_bytes, one.used_bytes, "thin")
                snapshots.setdefault(key, []).append(seen)
            elif match["kind"] == "vol":
                found.append(uses.volume(*key, one.size_bytes, one.used_bytes))
        return tuple(replace(one, snapshots=tuple(snapshots.get((one.name, one.uid), ()))) for one in found)

    def path(self, name: str, uid: int) -> str:
        """See the protocol."""
        return self.uses.path(name, uid)

    async def mounts(self) -> AsyncIterator[None]:
        """See the protocol."""
        async for _ in mount_news():
            yield

    async def _existing(self, name: str, uid: int, snapshot: int = 0) -> Logical:
        wanted = snapshot_of(name, uid, snapshot) if snapshot else volume_of(name, uid)
        one = (await self._group.look()).get(wanted)
        if one is None or not one.whole:
            if snapshot:
                raise SnapshotMissing(
                    f"snapshot {snapshot} of volume {name} is gone: there is no {wanted} in the group"
                )
            raise VolumeMissing(f"volume {name} is gone: there is no {wanted} in the group. Delete it, or import it")
        return one

    def _device(self, name: str, uid: int) -> Path:
        return Path(self._group.device(volume_of(name, uid)))

    async def _ready(self, name: str, uid: int) -> Path:
        one = await self._existing(name, uid)
        await self._activated(one)
        return self._device(name, uid)

    async def _activated(self, one: Logical) -> None:
        if not one.active:
            await self._group.activate(one.name)

    # --- making --------------------------------------------------------------------------------------------------

    async def make(self, name: str, uid: int, size_bytes: int, asked_at: int = 0) -> None:
        """See the protocol."""
        volume = volume_of(name, uid)
        if await self._has(volume, asked_at):
            await self.grow(name, uid, size_bytes)
            return
        if volume in await self._group.look():
            await self._group.remove(volume)
        await self._refuse_full()
        await self._group.create(volume, size_bytes, asked_at)
        await self._good(*MKFS, self._group.device(volume), f"{size_bytes // 1024}k")
        await self._group.finish(volume)

    async def _has(self, wanted: str, asked_at: int) -> bool:
        """Whether what was asked for then is there, and whole. Another journal's, under the same name, is set aside;
        and with a volume its snapshots."""
        there = await self._group.look()
        one = there.get(wanted)
        if one is None or not one.whole or one.is_of(asked_at):
            return one is not None and one.whole
        for name in (*_snapshots_of(wanted, there), wanted):
            await self._set_aside(name, there)
        return False

    async def _set_aside(self, name: str, there: Collection[str]) -> None:
        other = asked.unused("stranger", f"-{name}", there)
        await self._group.rename(name, other)
        asked.tell(name, other)

    async def adopt(self, name: str, uid: int, staged: str, asked_at: int = 0, keeps: Collection[int] = ()) -> None:
        """See the protocol."""
        there, volume = await self._group.look(), volume_of(name, uid)
        source = there.get(f"{STAGED}{staged}")
        if source is None or not source.whole:
            if volume in there:
                return
            raise VolumeMissing(f"what was imported as volume {name} is gone ({STAGED}{staged}): import it again")
        kept = {snapshot_of(name, uid, snapshot) for snapshot in keeps}
        others = [one for one in _snapshots_of(volume, there) if one not in kept]
        for one in (*others, *({volume} & there.keys())):
            await self._set_aside(one, there)
        await self._group.note(source, asked_at)
        await self._group.rename(source.name, volume)

    async def grow(self, name: str, uid: int, size_bytes: int) -> None:
        """See the protocol."""
        one = await self._existing(name, uid)
        await self._activated(one)
        device = Path(self._group.device(one.name))
        if await on_thread(lambda: filesystem_bytes(device)) + BLOCK_BYTES > size_bytes:
            return
        if await self.uses.is_open(name, uid):
            raise NotDetached(f"volume {name} is in use: stop its workload, then resize it")
        await self._refuse_full()
        await check(self._command, name, self._group.device(one.name))
        await self._enlarge(one, size_bytes)

    async def _enlarge(self, one: Logical, size_bytes: int) -> None:
        device = self._group.device(one.name)
        sizes = await on_thread(lambda: growth(Path(device), size_bytes))
        await self._group.extend(one, size_bytes)
        for size in sizes:
            await self._good("resize2fs", "-f", device, f"{size // 1024}k")

    async def remove(self, name: str, uid: int, asked_at: int = 0) -> None:
        """See the protocol."""
        await self.unmount(name, uid)
        await self.detach(name, uid)
        if await self.uses.is_open(name, uid):
            raise VolumeBusy(f"volume {name} is not mounted here, but a process has it open still")
        if asked_at:
            await self._has(volume_of(name, uid), asked_at)
        ours, there = _of_restore(name, uid), await self._group.look()
        await self._group.remove(*_snapshots_of(volume_of(name, uid), there), *(one for one in there if one in ours))

    # --- using ---------------------------------------------------------------------------------------------------

    async def mount(self, name: str, uid: int) -> str:
        """See the protocol."""
        return await self.uses.mount(name, uid)

    async def unmount(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self.uses.unmount(name, uid)

    async def attach(self, name: str, uid: int) -> str:
        """See the protocol."""
        return await self.uses.attach(name, uid)

    async def detach(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self.uses.detach(name, uid)

    # --- snapshots -----------------------------------------------------------------------------------------------

    async def snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> SnapshotMethod:
        """See the protocol. LVM holds the file system still for that moment."""
        wanted = snapshot_of(name, uid, snapshot)
        if await self._has(wanted, asked_at):
            return "thin"
        one = await self._existing(name, uid)
        use = await self.uses.use(name, uid)
        await self._refuse_full()
        if use == "attached":
            await self._snapshot_of_attached(name, uid, one, wanted, asked_at)
        else:
            await self._draft(one, wanted, asked_at)
            await self._group.finish(wanted)
        return "thin"

    async def _draft(self, one: Logical, wanted: str, asked_at: int) -> None:
        """A snapshot that is not whole yet; what an earlier try left goes."""
        if wanted in await self._group.look():
            await self._group.remove(wanted)
        await self._group.snapshot(one.name, wanted, one.size_bytes, asked_at)

    async def _snapshot_of_attached(self, name: str, uid: int, one: Logical, wanted: str, asked_at: int) -> None:
        try:
            async with self.uses.still(name, uid):
                await self._draft(one, wanted, asked_at)
            await self._group.finish(wanted)
        except BaseException:
            if wanted in await self._group.look():
                await self._group.remove(wanted)
            raise

    async def restore(self, name: str, uid: int, snapshot: int, size_bytes: int) -> None:
        """See the protocol."""
        volume, new, old = _of_restore(name, uid)
        source = await self._existing(name, uid, snapshot)
        await self._existing(name, uid)
        if await self.uses.is_open(name, uid):
            raise NotDetached(f"volume {name} is in use: its content cannot be replaced under its workload")
        await self._refuse_full()
        there = await self._group.look()
        await self._group.remove(*(one for one in (new, old) if one in there))
        await self._group.snapshot(source.name, new, source.size_bytes)
        try:
            await self._group.become_volume(new)
            device = Path(self._group.device(new))
            if await on_thread(lambda: filesystem_bytes(device)) + BLOCK_BYTES <= size_bytes:
                await check_snapshot(self._command, name, snapshot, str(device))
                await self._enlarge((await self._group.look())[new], size_bytes)
            await self._group.finish(new)
        except BaseException:
            await self._group.remove(new)
            raise
        await self._group.rename(volume, old)
        try:
            await self._group.rename(new, volume)
        except DriverError:
            await self._group.rename(old, volume)
            raise
        await self._group.remove(old)

    async def remove_snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> None:
        """See the protocol."""
        wanted = snapshot_of(name, uid, snapshot)
        if asked_at:
            await self._has(wanted, asked_at)
        if wanted in await self._group.look():
            await self._group.remove(wanted)

    # --- sizes ---------------------------------------------------------------------------------------------------

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        return await self.uses.usage(name, uid)

    async def pool(self) -> Fill:
        """See the protocol."""
        return await self._group.fill()

    # --- doing ---------------------------------------------------------------------------------------------------

    async def _refuse_full(self) -> None:
        """A pool that is full fails in the middle of things: nothing new is begun on it."""
        if is_full(await self._group.fill()):
            raise full()

    async def _good(self, *argv: str) -> None:
        code, said = await self._command(*argv)
        if code:
            if "No space left" in said or is_full(await self._group.fill()):
                raise full()
            raise VolumeFailed(f"`{' '.join(argv)}`: {how_it_ended(code)}: {said.strip()[-300:]}")


def _somewhere(device: Path) -> str:
    return str(device) if device.exists() and is_mounted_anywhere(device) else ""

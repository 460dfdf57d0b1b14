"""Taking over another machine's memory: what came is laid down beside the journal, and put in its place at the start.

    restore/archive        as it came           restore/journal/     the journal made of it
    restore/sealed/        values, sealed with this machine's key    restore/naming_key     by which they are named
    restore/ready          written last: from here on it counts

Until `ready` is there, nothing has changed; from then on the next start does the rest, and begins it again after any
crash. The blank machine's own journal is replaced: all that it knows is that nothing was wanted of it yet.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import msgspec

from capsuled.layout import Layout
from journal.durable import settle, sync_directory, write_durably
from journal.entry import Actor
from journal.environment import FRONT_LOG, HEAD
from journal.events import Event, JournalRestored
from journal.retention import COMPACTED
from projections.operators import keeping
from projections.state import Machine, Operator

READY = "ready"


class Restored(msgspec.Struct, frozen=True):
    """What was laid down, and on whose word."""

    upto: int
    head_hash: str
    release: str
    values: int
    actor: Actor
    login: str = ""
    own: Operator | None = None
    """Whoever asked, by the key that was known here: stays an admin, also where the archive does not know it."""

    def events(self, machine: Machine) -> tuple[Event, ...]:
        """The first facts of the life that begins with it; none where the journal goes on behind them already: they
        were told, and a crash kept this from being cleared. Pure."""
        kept = () if self.own is None else keeping(machine, self.own)
        if machine.seq <= self.upto:
            return (self._told(), *kept)
        return kept if machine.seq == self.upto + 1 else ()

    def _told(self) -> JournalRestored:
        return JournalRestored(self.upto, self.head_hash, self.release, self.values, self.login, apart=True)


def make_room(layout: Layout) -> Path:
    """An empty place for what comes. Raises OSError."""
    clear(layout)
    layout.restore.mkdir(parents=True, mode=0o700)
    return layout.restore


def lay_down(layout: Layout, restored: Restored) -> None:
    """All of it is on the disk: it counts. Raises OSError."""
    for directory in (layout.restore / "journal", layout.restore):
        sync_directory(directory)
    write_durably(layout.restore / READY, msgspec.json.encode(restored))
    sync_directory(layout.restore.parent)


def laid_down(layout: Layout) -> Restored | None:
    """What waits to be taken over, or was taken over and not told of yet."""
    try:
        return msgspec.json.decode((layout.restore / READY).read_bytes(), type=Restored)
    except FileNotFoundError:
        return None


def take_over(layout: Layout) -> None:
    """Put what was laid down in its place, as far as that has not been done. The journal's directory is held, and
    nothing in it is open. Raises OSError."""
    if laid_down(layout) is None:
        clear(layout)  # what was cut off before it counted
        return
    data = layout.restore / "journal" / "data.mdb"
    if not data.exists():
        return
    values = layout.restore / "sealed"
    if values.exists():
        layout.sealed.mkdir(parents=True, exist_ok=True, mode=0o700)
        for value in values.iterdir():
            os.replace(value, layout.sealed / value.name)
        sync_directory(layout.sealed)
    with contextlib.suppress(FileNotFoundError):
        os.replace(layout.restore / "naming_key", layout.naming_key)
        sync_directory(layout.identity)
    # What was noted beside the journal that goes is of that one, by its numbers.
    layout.side_log.unlink(missing_ok=True)
    for name in (HEAD, "lock.mdb", FRONT_LOG):
        (layout.journal / name).unlink(missing_ok=True)
    _move(data, layout.journal / "data.mdb")
    sync_directory(layout.journal)


def _move(source: Path, target: Path) -> None:
    """Whole or not at all, also onto another file system: the operating system's journal has one of its own."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        scratch = target.with_name(COMPACTED)
        shutil.copyfile(source, scratch)
        settle(scratch, target)
        source.unlink()


def lacks_place(layout: Layout, archive_bytes: int) -> int:
    """How many bytes the state's file system lacks for an archive of this size, once there is a place for it, and for
    the journal made of it, which is no smaller; 0 when it has them."""
    disk = os.statvfs(layout.restore)
    return max(0, 2 * archive_bytes - disk.f_bavail * disk.f_frsize)


def lacks_room(layout: Layout) -> int:
    """How many bytes the journal's file system lacks for what was laid down; 0 when it has them."""
    data, disk = layout.restore / "journal" / "data.mdb", os.statvfs(layout.journal)
    if os.stat(data).st_dev == os.stat(layout.journal).st_dev:
        return 0
    return max(0, data.stat().st_size - disk.f_bavail * disk.f_frsize)


def clear(layout: Layout) -> None:
    """Nothing waits any more. Raises OSError."""
    if layout.restore.exists():
        shutil.rmtree(layout.restore)
        sync_directory(layout.restore.parent)

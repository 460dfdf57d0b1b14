"""Copies of sparse files that share or skip what they can, whole and durable before they have their name; of a file
that is mounted, the copy of one moment. Blocking: for a thread."""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from effects.volumes.asked import note
from journal.durable import settle
from projections.storage import SnapshotMethod

_FICLONE = 0x40049409
_FIFREEZE, _FITHAW = 0xC0045877, 0xC0045878
_NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY)
_CHUNK_BYTES = 64 << 20
_METHOD = "user.capsule.method"

SCRATCH = ".making"


def scratch_of(path: Path) -> Path:
    """The name under which a file is made."""
    return path.with_name(f".{path.name}{SCRATCH}")


def clone(source: Path, target: Path, stop: threading.Event) -> bool:
    """Make `target`, a scratch name, a whole, durable copy of `source`; True when it shares its blocks.

    Raises OSError, with ECANCELED soon after `stop` is set; then nothing new is there.
    """
    target.unlink(missing_ok=True)
    old = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        shared = _share(old, new)
        if not shared:
            _copy_data(old, new, stop)
        os.fsync(new)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(old)
        os.close(new)
    return shared


def _share(old: int, new: int) -> bool:
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    return True


def _copy_data(old: int, new: int, stop: threading.Event) -> None:
    """Only what is data: holes stay holes."""
    size = os.fstat(old).st_size
    os.ftruncate(new, size)
    offset = 0
    while offset < size:
        try:
            start = os.lseek(old, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        offset = os.lseek(old, start, os.SEEK_HOLE)
        while start < offset:
            if stop.is_set():
                raise OSError(errno.ECANCELED, "the daemon stops")
            start += os.copy_file_range(old, new, min(offset - start, _CHUNK_BYTES), start, start)


def frozen_clone(image: Path, target: Path, asked_at: int, mounted_at: str, stop: threading.Event) -> SnapshotMethod:
    """A clone of one moment. It gets its name only once it is known that nothing was written meanwhile: a thaw fails
    when another hand thawed the file system first. After a crash the next life thaws."""
    scratch = scratch_of(target)
    try:
        with _frozen(mounted_at):
            method = drafted(image, target, asked_at, stop)
        settle(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return method


def drafted(image: Path, target: Path, asked_at: int, stop: threading.Event) -> SnapshotMethod:
    """A clone under the target's scratch name; whoever knows that nothing was written meanwhile settles it. Raises
    OSError, as `clone` does."""
    scratch = scratch_of(target)
    method: SnapshotMethod = "reflink" if clone(image, scratch, stop) else "copy"
    _note(scratch, method)
    note(scratch, asked_at)
    return method


def _note(path: Path, method: SnapshotMethod) -> None:
    try:
        os.setxattr(path, _METHOD, method.encode())
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a file system without attributes cannot share blocks either
            raise


def method_of(path: Path) -> SnapshotMethod:
    """How this snapshot came about, as was noted beside its content."""
    try:
        return "reflink" if os.getxattr(path, _METHOD) == b"reflink" else "copy"
    except OSError:
        return "copy"


@contextmanager
def _frozen(mounted_at: str) -> Iterator[None]:
    point = os.open(mounted_at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(point, _FIFREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(point, _FITHAW, 0)
    finally:
        os.close(point)


def thaw(mounted_at: str) -> None:
    """Let the file system be written again, if it was frozen. Raises OSError."""
    point = os.open(mounted_at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(point, _FITHAW, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:  # it was not frozen: as it should be
            raise
    finally:
        os.close(point)

"""Copies of sparse files that share or skip what they can. Blocking: for a thread."""

import errno
import fcntl
import os
import threading
from pathlib import Path

_FICLONE = 0x40049409
_NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY)
_CHUNK_BYTES = 64 << 20

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

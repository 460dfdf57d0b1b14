"""What the errors of files mean for the volumes in them."""

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from effects import threads
from effects.errors import DriverError, NoSpace, VolumeFailed, VolumeTooLarge

T = TypeVar("T")


async def on_thread(work: Callable[[], T], pool: ThreadPoolExecutor | None = None) -> T:
    """Do what blocks on a thread, one of the `pool`'s if it takes long. Raises the condition that its OSError is."""
    return await threads.on_thread(work, translated, pool)


def translated(error: OSError) -> DriverError:
    """The condition that an error of a volume's file is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full()
    if error.errno == errno.EFBIG:
        return VolumeTooLarge("the file system under the volumes takes no file of this size: ask for less")
    return VolumeFailed(f"{error.filename or 'a volume'}: {error.strerror}")


def full() -> NoSpace:
    """There is no room for more in the volumes' files."""
    return NoSpace("the disk under the volumes is full: free space there, or delete snapshots")

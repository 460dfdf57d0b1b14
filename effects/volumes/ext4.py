"""The file system in every volume, whatever it lies on: how it is made, mounted and looked at."""

import errno
import os
from pathlib import Path

MKFS = ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1")
MOUNT_OPTIONS = "noatime,nosuid,nodev,errors=remount-ro"
BLOCK_BYTES = 4096
FSCK_USABLE = 2
"""e2fsck's exit codes below this: clean, or made so."""


def is_mounted_anywhere(device: Path) -> bool:
    """Whether somebody has its file system mounted, be it in a namespace of his own. Blocks. Raises OSError."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    return False

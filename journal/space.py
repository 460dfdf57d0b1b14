"""The journal's own space: blocks taken from the disk ahead of need, and a reserve for what must still be written.

An ordinary entry is accepted only while `ahead` bytes beyond it are already the journal's, so what was promised cannot
meet a full disk when it is moved from the front log into LMDB. When the disk gives no more, ordinary appends are
refused before anything is promised, and others go on into the reserve. Observations leave most of it: what flaps for
days would use it up, and nothing could be written any more of what helps (stop, delete, truncate), nor a life's first
entries.
"""

import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

KEEP_SIZE = 0x01
AHEAD_BYTES = 16 << 20
RESERVE_BYTES = 4 << 20
EXTENT_TREE_BYTES = 64 << 10
COMMIT_BYTES = 2 << 20
"""What one transaction may write at most, copy-on-write pages included (mover.py bounds its own)."""
FRAME_BYTES = 512
"""What an entry needs beside its body, generously: header, salt, key, its share of branch pages."""
SMALL_BYTES = 512
PAGE_BYTES = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_HAS_FALLOCATE = hasattr(_libc, "fallocate")
"""Linux has; the command line reads archives with this package on other systems, too."""
if _HAS_FALLOCATE:
    _libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Room(NamedTuple):
    """What entries of any kind may take on the disk, and how much of that they have not taken yet."""

    size_bytes: int
    available_bytes: int


class Space:
    """Blocks of the data file. Two threads that extend at once may each note the smaller number, never a larger one."""

    def __init__(self, data: Path, ahead_bytes: int = AHEAD_BYTES, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._fd = os.open(data, os.O_RDWR | os.O_CLOEXEC)
        self.ahead_bytes = ahead_bytes
        self._least_bytes = reserve_bytes
        self.state_bytes = 0
        """What the fold's state takes, once that is known: a cut of history writes it first."""
        # What an earlier life was given is still the file's; the margin is for blocks that hold the extent tree.
        self.granted = max(0, os.fstat(self._fd).st_blocks * 512 - EXTENT_TREE_BYTES)
        self.reason = ""

    def extend(self, used_bytes: int) -> bool:
        """Own the blocks up to `used_bytes` + ahead + reserve. False, with `reason`, when the disk gives no more."""
        want = used_bytes + self.ahead_bytes + self.reserve_bytes
        if self.granted >= want - self.ahead_bytes // 2:
            self.reason = ""
            return True
        if not _HAS_FALLOCATE:
            return self._believe_statvfs(used_bytes, want)
        if _libc.fallocate(self._fd, KEEP_SIZE, 0, want) == 0:
            self.granted, self.reason = want, ""
            return True
        code = ctypes.get_errno()
        if code in (errno.EOPNOTSUPP, errno.ENOSYS):
            # A file system without preallocation gives no promise; then what is free now must do.
            return self._believe_statvfs(used_bytes, want)
        self.reason = os.strerror(code)
        return self.granted >= used_bytes + COMMIT_BYTES * 2 + self.reserve_bytes

    def _believe_statvfs(self, used_bytes: int, want: int) -> bool:
        stat = os.fstatvfs(self._fd)
        if stat.f_bavail * stat.f_frsize >= want - used_bytes:
            self.granted, self.reason = want, ""
            return True
        self.reason = "No space left on device"
        return False

    @property
    def reserve_bytes(self) -> int:
        """What ordinary entries leave."""
        return self._least_bytes + 2 * self.state_bytes

    @property
    def vital_bytes(self) -> int:
        """What observations leave of that to what helps: so much that history can be cut."""
        return self._least_bytes // 2 + 2 * self.state_bytes

    def has_reserve(self, used_bytes: int) -> bool:
        """Whether one more commit, and what the follower adds to it, fits into what is already owned."""
        return self.granted >= used_bytes + COMMIT_BYTES * 2

    def room(self, held_bytes: int) -> Room:
        """Where so much is held: of the blocks that are the file's, and all that the disk has left, less the reserve
        and a last piece that is taken whole or not at all. Nothing else bounds it: the map is moved as it grows."""
        file, disk = os.fstat(self._fd), os.fstatvfs(self._fd)
        most = file.st_blocks * 512 + disk.f_bavail * disk.f_frsize
        kept = EXTENT_TREE_BYTES + self.reserve_bytes + 2 * COMMIT_BYTES + self.ahead_bytes // 2
        size = max(0, most - kept)
        return Room(size, max(0, size - held_bytes))

    def give_back(self) -> None:
        """Let the disk have what was taken ahead, while nothing is written to the file."""
        os.ftruncate(self._fd, os.fstat(self._fd).st_size)
        self.granted = max(0, os.fstat(self._fd).st_blocks * 512 - EXTENT_TREE_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def room_for(bodies: Sequence[bytes]) -> int:
    """What entries with these bodies take of LMDB's file at most. Small ones lie close together; of larger ones few fit
    on a page, and what is larger than half a page gets whole pages."""
    sizes = list(map(len, bodies))
    if max(sizes, default=0) <= SMALL_BYTES:
        return sum(sizes) + FRAME_BYTES * len(sizes)
    return sum(map(_room, sizes))


def _room(size: int) -> int:
    whole = size + FRAME_BYTES
    if size <= SMALL_BYTES:
        return whole
    unit = PAGE_BYTES // 2 if whole <= PAGE_BYTES // 2 else PAGE_BYTES
    return -(-whole // unit) * unit

"""The head file: the newest entry's seq and hash, kept beside the environment, so that a cut tail is found.

LMDB would open a file from last week's backup, or one that lost its last pages, without complaint. The head is written
after the commit it speaks of and is never ahead of it; a torn or missing head file proves nothing and is ignored.
"""

import os
import zlib
from pathlib import Path

import msgspec

_MAGIC = b"capsule-head 1\n"


class Head(msgspec.Struct, frozen=True):
    """An entry's place and hash."""

    seq: int
    hash: bytes


class HeadFile:
    """Small, written in place, not synced: it only ever has to be *some* true former head."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, head: Head) -> None:
        """Replace what stands there. A disk that refuses costs only this witness, so the error is let go."""
        body = _MAGIC + head.seq.to_bytes(8, "big") + head.hash
        try:
            os.pwrite(self._fd, body + zlib.crc32(body).to_bytes(4, "big"), 0)
        except OSError:
            return

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def read_head(path: Path) -> Head | None:
    """The head that was last written, or None when there is none that can be trusted."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    body, crc = content[:-4], content[-4:]
    if not body.startswith(_MAGIC) or zlib.crc32(body).to_bytes(4, "big") != crc:
        return None
    rest = body[len(_MAGIC) :]
    return Head(int.from_bytes(rest[:8], "big"), rest[8:])

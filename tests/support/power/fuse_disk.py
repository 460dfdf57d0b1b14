"""The disk itself: one file, served through FUSE by a process of its own, that logs every write and every flush.

    python -m tests.support.power.fuse_disk FILE SIZE_BYTES LOG ACKS

`FILE` becomes the disk. A line `record` on standard input copies the disk to LOG.base and begins the log anew; the end
of standard input takes the disk away. Each is answered with a line. ACKS holds a counter, eight bytes: what the life on
the disk had acknowledged when a write came stands beside it in the log.

It speaks the kernel's protocol on /dev/fuse, as the root of a file system that is a single regular file (so there are
no names to look up) and is never cached. Source of the layouts: linux/fuse.h, version 7.31.
"""

import ctypes
import errno
import mmap
import os
import select
import stat
import struct
import sys
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from tests.support.power.record import FLUSH, WRITE, put

_DIRECT_IO = 1
_BIG_WRITES = 1 << 5
_MAX_WRITE = 128 << 10
_HEADER = struct.Struct("<IIQQIIIHH")
_ANSWER = struct.Struct("<IiQ")
_MS_NOSUID, _MS_NODEV, _MNT_DETACH = 2, 4, 2
_BLOCK = 4096

_libc = ctypes.CDLL(None, use_errno=True)


class Opcode(IntEnum):
    """What the kernel may ask of a file system that is one file."""

    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42


_UNANSWERED = (Opcode.FORGET, Opcode.INTERRUPT, Opcode.BATCH_FORGET)


class Disk:
    """The content, its log, and the answers to the kernel."""

    def __init__(self, size: int, log: Path, acks: Path) -> None:
        self.size = size
        self.content = bytearray(size)
        self._log_path = log
        self._log: BinaryIO | None = None
        with acks.open("r+b") as file:
            self._acks = mmap.mmap(file.fileno(), 8)

    def record(self) -> None:
        """From here on every write and flush is logged."""
        self._log_path.with_suffix(".base").write_bytes(self.content)
        self._log = self._log_path.open("wb")

    def close(self) -> None:
        """The log is whole."""
        if self._log is not None:
            self._log.close()

    def answer(self, opcode: int, body: memoryview) -> bytes:
        """What the kernel asked for. Raises OSError with the code to answer."""
        match opcode:
            case Opcode.INIT:
                major, _, read_ahead, flags = struct.unpack_from("<IIII", body)
                return struct.pack(
                    "<IIIIHHIIHHI28x", major, 31, read_ahead, flags & _BIG_WRITES, 16, 12, _MAX_WRITE, 1, 0, 0, 0
                )
            case Opcode.GETATTR | Opcode.SETATTR:
                return self._attributes()
            case Opcode.OPEN:
                return struct.pack("<QII", 0, _DIRECT_IO, 0)
            case Opcode.READ:
                _, offset, size = struct.unpack_from("<QQI", body)
                return bytes(self.content[offset : offset + size])
            case Opcode.WRITE:
                return self._write(body)
            case Opcode.STATFS:
                blocks = self.size // _BLOCK
                return struct.pack("<QQQQQIIII24x", blocks, 0, 0, 1, 0, _BLOCK, 255, _BLOCK, 0)
            case Opcode.FSYNC:
                self._note(FLUSH, 0, b"")
                return b""
            case Opcode.RELEASE | Opcode.FLUSH | Opcode.DESTROY:
                return b""
        raise OSError(errno.ENOSYS, "not this disk's")

    def _write(self, body: memoryview) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        data = body[40 : 40 + size]
        if offset + size > self.size:
            raise OSError(errno.ENOSPC, "behind the end")
        self.content[offset : offset + size] = data
        self._note(WRITE, offset, bytes(data))
        return struct.pack("<II", size, 0)

    def _note(self, kind: int, offset: int, data: bytes) -> None:
        if self._log is not None:
            put(self._log, kind, offset, int.from_bytes(self._acks[:8], "little"), data)

    def _attributes(self) -> bytes:
        attributes = struct.pack(
            "<QQQQQQIIIIIIIIII", 1, self.size, self.size // 512, 0, 0, 0, 0, 0, 0, stat.S_IFREG | 0o600, 1, 0, 0, 0,
            _BLOCK, 0,
        )  # fmt: skip
        return struct.pack("<QII", 3600, 0, 0) + attributes


def serve(fd: int, disk: Disk) -> None:
    """Answer the kernel and the controlling process until the latter is gone."""
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    waiting.register(0, select.POLLIN)
    while True:
        for ready, _ in waiting.poll():
            if ready == fd:
                _serve_one(fd, disk)
            elif not _obey(disk):
                return


def _serve_one(fd: int, disk: Disk) -> None:
    try:
        request = memoryview(os.read(fd, _MAX_WRITE + 4096))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
            return  # interrupted before it was read
        raise
    _, opcode, unique, *_ = _HEADER.unpack_from(request)
    if opcode in _UNANSWERED:
        return
    code, answer = 0, b""
    try:
        answer = disk.answer(opcode, request[_HEADER.size :])
    except OSError as error:
        code = -(error.errno or errno.EIO)
    os.write(fd, _ANSWER.pack(_ANSWER.size + len(answer), code, unique) + answer)


def _obey(disk: Disk) -> bool:
    command = os.read(0, 64)
    if not command:
        return False
    assert command == b"record\n", command
    disk.record()
    print("recording", flush=True)
    return True


def _mount(fd: int, file: Path) -> None:
    options = f"fd={fd},rootmode={stat.S_IFREG | 0o600:o},user_id=0,group_id=0"
    if _libc.mount(b"capsule-disk", bytes(file), b"fuse", _MS_NOSUID | _MS_NODEV, options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(file))


def _main(file: Path, size: int, log: Path, acks: Path) -> None:
    disk = Disk(size, log, acks)
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    _mount(fd, file)
    try:
        print("serving", flush=True)
        serve(fd, disk)
    finally:
        _libc.umount2(bytes(file), _MNT_DETACH)
        os.close(fd)
        disk.close()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))

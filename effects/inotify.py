"""The kernel's notices of what becomes of files. Source: inotify(7)."""

import ctypes
import os
import struct
from pathlib import Path

MODIFY, CLOSE_WRITE = 0x2, 0x8
OVERFLOW, IGNORED, ONESHOT = 0x4000, 0x8000, 0x80000000
_EVENT = struct.Struct("iIII")
_READ_BYTES = 64 << 10

_libc = ctypes.CDLL(None, use_errno=True)


def instance() -> int:
    """A descriptor that can be read when there are notices. Raises OSError."""
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(fd)


def add(fd: int, path: Path, mask: int) -> int:
    """Watch a file; its watch's number. Raises OSError."""
    number = _libc.inotify_add_watch(fd, os.fsencode(path), ctypes.c_uint32(mask))
    if number < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    return int(number)


def drop(fd: int, number: int) -> None:
    """Watch it no longer. One that has gone by itself is no mistake."""
    _libc.inotify_rm_watch(fd, number)


def events(fd: int) -> list[tuple[int, int]]:
    """The notices there are: the number of a watch, and what happened."""
    try:
        data = os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return []
    found, at = [], 0
    while at < len(data):
        number, mask, _, length = _EVENT.unpack_from(data, at)
        found.append((number, mask))
        at += _EVENT.size + length
    return found

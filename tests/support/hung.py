"""A file system whose server is away, as a hard network mount's is: who touches it waits until it is let go."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEVICE = Path("/dev/fuse")
_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)
_MOUNTS_BESIDE = """
import ctypes, os, sys
from tests.support.hung import mount
process, server, place = sys.argv[1:]
namespace = os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY)
if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
    raise OSError(ctypes.get_errno(), "setns")
mount(int(server), place)
"""


def mount(server: int, place: str) -> None:
    """What this server's end of the device serves, at `place`."""
    told = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    if _libc.mount(b"hung", os.fsencode(place), b"fuse", 0, told.encode()):
        raise OSError(ctypes.get_errno(), "mount", place)


@contextmanager
def hung(place: Path) -> Iterator[None]:
    """At `place`, a directory: nobody answers what the kernel asks of it. In the end all who wait there go on."""
    server = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        mount(server, str(place))
        yield
    finally:
        os.close(server)
        _libc.umount2(bytes(place), _DETACH)


@contextmanager
def hung_inside(process: int, place: str) -> Iterator[None]:
    """As `hung`, but at a place of the container that this process is in: what was bound there went away."""
    server = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        # A process of its own: one with threads cannot enter another's mounts.
        argv = [sys.executable, "-c", _MOUNTS_BESIDE, str(process), str(server), place]
        subprocess.run(argv, check=True, pass_fds=(server,), cwd=Path(__file__).parents[2])
        yield
    finally:
        os.close(server)

"""Network namespaces kept by a bind mount, so that they outlive the daemon and every process in them.

A thread makes a namespace by leaving its own: nothing is forked, as gRPC and fork do not mix. `Inside` must be used on
a thread of its user's own, never on the event loop's.
"""

import ctypes
import os
import threading
from pathlib import Path
from types import TracebackType

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def exists(path: Path) -> bool:
    """Whether a namespace is mounted there. A file alone is what a crash in the middle leaves."""
    try:
        return os.stat(path).st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False


def make(path: Path) -> None:
    """Make a namespace and keep it at `path`. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    failed: list[OSError] = []
    thread = threading.Thread(target=_make, args=(path, failed), name="netns")
    thread.start()
    thread.join()
    if failed:
        path.unlink(missing_ok=True)
        raise failed[0]


def _make(path: Path, failed: list[OSError]) -> None:
    """On a thread that ends right after: its namespace lives on in the mount."""
    own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    try:
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        _check(_libc.mount(own.encode(), str(path).encode(), None, ctypes.c_ulong(_MS_BIND), None), str(path))
    except OSError as error:
        failed.append(error)


def remove(path: Path) -> None:
    """Let go of a namespace; the kernel ends it, and every link into it, with its last process. Raises OSError."""
    if exists(path):
        _check(_libc.umount2(str(path).encode(), _MNT_DETACH), str(path))
    path.unlink(missing_ok=True)


class Inside:
    """The calling thread is in the namespace, within the `with` block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(there, _CLONE_NEWNET), str(self._path))
        except OSError:
            os.close(self._home)
            raise
        finally:
            os.close(there)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _check(_libc.setns(self._home, _CLONE_NEWNET), "the machine's own namespace")
        os.close(self._home)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)

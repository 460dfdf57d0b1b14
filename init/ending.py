"""The machine's end: every process ended, every file system unmounted or at least read-only, and then off or on again.

Workloads and volumes were ended in their order before (`capsuled --halt`); this is for what is left. Source: reboot(2),
umount2(2).
"""

import os
import signal
import time
from collections.abc import Callable

TERM_S, LOOK_S = 5.0, 0.02
_POWER_OFF, _RESTART = 0x4321FEDC, 0x01234567
_KERNELS_OWN = (b"/proc", b"/sys", b"/dev", b"/run")
_MS_REMOUNT, _MS_RDONLY = 32, 1


def end_processes() -> None:
    """All of them, but kernel threads and this one."""
    for number, seconds in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, TERM_S)):
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _reap():
                return
            time.sleep(LOOK_S)


def _reap() -> bool:
    """Whether there is any child left. Whoever loses its parent becomes one."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def to_unmount(mounts: bytes) -> list[bytes]:
    """Places in /proc/self/mounts that hold somebody's data, those mounted last first. Volumes of workloads are mounted
    below /run, so what lies on a device counts everywhere."""
    found = []
    for line in mounts.splitlines():
        source, place = line.split()[:2]
        # A space stands there as \040; what is no ASCII, in whatever encoding, as it is.
        place = place.decode("unicode_escape").encode("latin-1")
        if place != b"/" and (source.startswith(b"/dev/") or not place.startswith(_KERNELS_OWN)):
            found.append(place)
    return found[::-1]


def finish(order: str, hold: Callable[[], None]) -> None:
    """Unmount and switch off; never returns on a machine. `hold` is called while the disk is waited for."""
    in_a_child(_unmount, hold)
    import ctypes

    ctypes.CDLL(None).reboot(ctypes.c_int32(_RESTART if order == "reboot" else _POWER_OFF).value)


def in_a_child(work: Callable[[], None], hold: Callable[[], None]) -> None:
    """Have it done, however long that takes, and call `hold` again and again meanwhile. Where no child can be had it is
    done all the same, and nobody holds. What `work` raises is dropped: the machine ends either way."""
    try:
        child = os.fork()
    except OSError:
        _guarded(work)
        return
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    while not os.waitpid(child, os.WNOHANG)[0]:
        hold()
        time.sleep(LOOK_S)


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # PID 1 that ends is a machine that panics
        pass


def _unmount() -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    os.sync()
    with open("/proc/self/mounts", "rb") as file:
        places = to_unmount(file.read())
    for place in places:
        if libc.umount2(place, 0):
            libc.mount(None, place, None, _MS_REMOUNT | _MS_RDONLY, None)
    os.sync()

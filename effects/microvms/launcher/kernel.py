"""What Linux can do and Python has no words for: a sibling in namespaces of its own, another root, no capability.

Source: clone(2), mount(2), pivot_root(2), prctl(2), capabilities(7).
"""

import ctypes
import os
import signal

_CLONE = {"x86_64": 56, "aarch64": 220}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CLONE_PARENT, _NEWNS, _NEWUTS, _NEWIPC = 0x0000_8000, 0x0002_0000, 0x0400_0000, 0x0800_0000
_NEWPID, _NEWNET = 0x2000_0000, 0x4000_0000
_APART = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 32, 4_096
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x4000, 1 << 18, 2

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 1, 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x2008_0522
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def sibling() -> int:
    """Fork into namespaces of its own (processes, mounts, network, IPC, names). The new process is a child of our own
    parent, who alone will hear how it ended. Returns 0 in it, and its number, as everybody else counts, here. Raises
    OSError."""
    number = _libc.syscall(_of_machine(_CLONE), ctypes.c_ulong(_APART | _CLONE_PARENT | signal.SIGCHLD), 0, 0, 0, 0)
    _check(number)
    return int(number)


def die_with_parent() -> None:
    """Until the user is changed. Raises OSError."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0))


def call_yourself(hostname: bytes) -> None:
    """In this namespace of names. Raises OSError."""
    _check(_libc.sethostname(hostname, ctypes.c_size_t(len(hostname))))


def keep_mounts_to_yourself() -> None:
    """Nothing that is mounted here from now on is seen outside, nor the reverse. Raises OSError."""
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)


def mount_memory(target: str, size_bytes: int) -> None:
    """An empty file system in memory. Raises OSError."""
    _mount("tmpfs", target, b"tmpfs", _MS_NOSUID, f"mode=0755,size={size_bytes}".encode())


def bind_read_only(source: str, target: str) -> None:
    """A file at another place, to be read and executed only. Raises OSError."""
    _mount(source, target, None, _MS_BIND)
    _mount(None, target, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def make_read_only(target: str) -> None:
    """A mount that was made here. Raises OSError."""
    _mount(None, target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID)


def make_root(directory: str) -> None:
    """This mount is the root of everything from now on, and nothing of the former one is reached. Raises OSError."""
    os.chdir(directory)
    _check(_libc.syscall(_of_machine(_PIVOT_ROOT), b".", b"."))
    _check(_libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")


def become(user: int) -> None:
    """This user and a group of the same number, without any capability, for ever. Raises OSError."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for number in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # beyond the last one the kernel knows: EINVAL
    _check(_libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(ctypes.byref(header), ctypes.byref((_CapData * 2)())))


def _mount(source: str | None, target: str, kind: bytes | None, flags: int, options: bytes | None = None) -> None:
    found = None if source is None else os.fsencode(source)
    _check(_libc.mount(found, os.fsencode(target), kind, ctypes.c_ulong(flags), options), target)


def _of_machine(numbers: dict[str, int]) -> int:
    return numbers[os.uname().machine]


def _check(result: int, path: str | None = None) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)

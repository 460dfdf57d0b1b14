"""What Linux can do and Python has no words for: path walks that stay below a root, other mount namespaces, fewer
capabilities. Source: openat2(2), setns(2), mount(2), capabilities(7), statfs(2)."""

import ctypes
import errno
import os

_OPENAT2 = 437
_NO_MAGICLINKS, _IN_ROOT = 0x02, 0x10
_NEWNS = 0x0002_0000
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x2008_0522
_CHOWN, _DAC_OVERRIDE, _FOWNER, _FSETID = 0, 1, 3, 4
_KEPT = (1 << _CHOWN) | (1 << _DAC_OVERRIDE) | (1 << _FOWNER) | (1 << _FSETID)
_LAST_CAPABILITY = 63
_MS_RDONLY, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 1, 0x4000, 1 << 18, 2
_EAGAIN_TRIES = 64

MADE_UP = frozenset(
    {
        0x9FA0,  # proc
        0x62656572,  # sysfs
        0x27E0EB,  # cgroup
        0x63677270,  # cgroup2
        0x1CD1,  # devpts
        0x19800202,  # mqueue
        0x64626720,  # debugfs
        0x74726163,  # tracefs
        0x73636673,  # securityfs
        0xCAFE4A11,  # bpf
        0x6165676C,  # pstore
        0xDE5E81E4,  # efivarfs
        0x62656570,  # configfs
        0x42494E4D,  # binfmt_misc
        0x65735543,  # fusectl
        0x6E736673,  # nsfs
        0xF97CFF8C,  # selinuxfs
    }
)
"""File systems that are no storage: what stands in their files is made up as it is read, and writing is a command."""

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def open_below(root: int, path: str, flags: int) -> int:
    """Open `path` as if `root` were the root of everything: no link and no `..` leads out, and none of the links that
    the kernel makes up is followed. Raises OSError."""
    how = _How(flags | os.O_CLOEXEC, 0, _IN_ROOT | _NO_MAGICLINKS)
    for _ in range(_EAGAIN_TRIES):
        fd = _libc.syscall(_OPENAT2, root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        number = ctypes.get_errno()
        if number != errno.EAGAIN:  # somebody moved directories while a `..` was looked at
            break
    raise OSError(number, os.strerror(number), path)


def made_up(fd: int) -> bool:
    """Whether the file system that `fd` is on is one of MADE_UP."""
    found = ctypes.create_string_buffer(256)
    _check(_libc.fstatfs(fd, found))
    return int.from_bytes(found.raw[: ctypes.sizeof(ctypes.c_long)], "little") in MADE_UP


def enter(process: int) -> None:
    """Into the mount namespace of a process that a pidfd stands for: its root becomes ours. Raises OSError."""
    _check(_libc.setns(process, _NEWNS))


def alone() -> None:
    """Into a mount namespace of our own, from which nothing gets out. Raises OSError."""
    _check(_libc.unshare(_NEWNS))
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))


def mount(kind: str, source: str, target: str, options: str, read_only: bool = False) -> None:
    """Mount a file system. Raises OSError."""
    flags = ctypes.c_ulong(_MS_RDONLY if read_only else 0)
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, os.fsencode(options)))


def bind(source: str, target: str) -> None:
    """Bind a directory to another place. Raises OSError."""
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(0x1000), None))


def renounce() -> None:
    """Keep what it takes to read and write everybody's files, and nothing else: no mounts, no devices, no way back into
    another namespace. Raises OSError."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for number in range(_LAST_CAPABILITY + 1):
        if not _KEPT >> number & 1:
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # beyond the last one the kernel knows: EINVAL
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)(_CapData(_KEPT, _KEPT, 0), _CapData(0, 0, 0))
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)))


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

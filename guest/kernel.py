"""What Linux can do and Python 3.11 has no words for. Everything raises OSError.

By `_ctypes` alone: the package around it takes longer to import than all else that a payload waits for.
Source: mount(2), open_tree(2), pivot_root(2), unshare(2), setns(2), prctl(2), capset(2), reboot(2), init_module(2),
adjtime(3).
"""

import _ctypes
import os
import struct

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000, 0x4000, 0x4_0000
NOATIME, MOVE, SILENT, RELATIME, STRICTATIME = 0x400, 0x2000, 0x8000, 0x20_0000, 0x100_0000
DETACH = 2
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID = 0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x2000_0000
_AT_FDCWD, _OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC, _FROM_EMPTY_PATH, _RECURSIVE = -100, 1, os.O_CLOEXEC, 4, 0x8000
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 8, 24, 38, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_CAPABILITY_VERSION_3 = 0x2008_0522
_POWER_OFF = 0x4321_FEDC
_LAST_CAPABILITY = 63


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "i"


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "L"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


_library = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # None is this very program


def _function(name: str) -> _Function:
    return _Function(_ctypes.dlsym(_library, name))


_mount, _umount, _pivot_root = _function("mount"), _function("umount2"), _function("pivot_root")
_open_tree, _move_mount = _function("open_tree"), _function("move_mount")
_unshare, _setns, _sethostname = _function("unshare"), _function("setns"), _function("sethostname")
_prctl, _capset, _prlimit = _function("prctl"), _function("capset"), _function("prlimit")
_init_module, _reboot, _syncfs = _function("init_module"), _function("reboot"), _function("syncfs")
_adjtime = _function("adjtime")


def _check(result: int, what: str = "") -> int:
    if result < 0:
        number = _ctypes.get_errno()
        raise OSError(number, os.strerror(number), what) if what else OSError(number, os.strerror(number))
    return result


def mount(kind: str, source: str, target: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system; what it has to say of it goes nowhere but to who asked."""
    data = options.encode() if options else None
    _check(_mount(source.encode(), os.fsencode(target), kind.encode(), _Long(flags | SILENT), data), target)


def bind(source: str, target: str, flags: int = 0) -> None:
    """What is at one place, at another, too; with `flags`, which only a second mount can give."""
    _check(_mount(os.fsencode(source), os.fsencode(target), None, _Long(BIND | REC), None), target)
    if flags:
        change(target, flags)


def change(target: str, flags: int) -> None:
    """Other flags for one mount; not for its file system."""
    _check(_mount(None, os.fsencode(target), None, _Long(REMOUNT | BIND | flags), None), target)


def private(target: str) -> None:
    """Mounts at and below a place are told to no other namespace from now on."""
    _check(_mount(None, os.fsencode(target), None, _Long(REC | PRIVATE), None), target)


def move(source: str, target: str) -> None:
    """A mount, to another place."""
    _check(_mount(os.fsencode(source), os.fsencode(target), None, _Long(MOVE), None), target)


def unmount(target: str, flags: int = 0) -> None:
    """No more."""
    _check(_umount(os.fsencode(target), flags), target)


def tree(path: str) -> int:
    """A copy of the mount at a path, which is nowhere yet, by a descriptor."""
    return _check(_open_tree(_AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _RECURSIVE), path)


def place(mounted: int, target: str) -> None:
    """Such a copy, to its place."""
    _check(_move_mount(mounted, b"", _AT_FDCWD, os.fsencode(target), _FROM_EMPTY_PATH), target)


def pivot(root: str) -> None:
    """`root`, a mount, is the root of everything from now on, and nothing leads to the one of before."""
    os.chdir(root)
    _check(_pivot_root(b".", b"."), root)
    unmount(".", DETACH)
    os.chdir("/")


def unshare(kinds: int) -> None:
    """Into namespaces of our own."""
    _check(_unshare(kinds))


def enter(namespace: int, kinds: int) -> None:
    """Into namespaces that a descriptor stands for."""
    _check(_setns(namespace, kinds))


def set_hostname(name: str) -> None:
    """What this namespace is called."""
    text = name.encode()
    _check(_sethostname(text, _Long(len(text))))


def bound_capabilities(kept: frozenset[int]) -> None:
    """No more than these, by number, can be had from now on by whatever is executed."""
    for number in range(_LAST_CAPABILITY + 1):
        if number not in kept:
            _prctl(_PR_CAPBSET_DROP, _Long(number), None, None, None)  # beyond the last one the kernel knows: EINVAL


def keep_capabilities() -> None:
    """A change of the user takes none of the permitted ones; only the next execution does."""
    _check(_prctl(_PR_SET_KEEPCAPS, _Long(1), None, None, None))


def set_capabilities(held: frozenset[int], ambient: bool) -> None:
    """Just these, effective and permitted; with `ambient` also for what somebody who is not root executes."""
    bits = sum(1 << number for number in held)
    low, high = bits & 0xFFFF_FFFF, bits >> 32
    inherited = (low, high) if ambient else (0, 0)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _check(_capset(header, struct.pack("6I", low, low, inherited[0], high, high, inherited[1])))
    _prctl(_PR_CAP_AMBIENT, _Long(_AMBIENT_CLEAR_ALL), None, None, None)
    for number in held if ambient else ():
        _check(_prctl(_PR_CAP_AMBIENT, _Long(_AMBIENT_RAISE), _Long(number), None, None))


def conceal() -> None:
    """Until the next execution nobody may look into this process, or take what it has open: it knows more than what it
    is about to become."""
    _check(_prctl(_PR_SET_DUMPABLE, _Long(0), None, None, None))


def no_new_privileges() -> None:
    """No execution gives more than there is, whatever the file says."""
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, _Long(1), None, None, None))


def set_limit(resource: int, soft: int, hard: int) -> None:
    """A limit of this process's; -1 is none."""
    _check(_prlimit(0, resource, struct.pack("qq", soft, hard), None))


def load_module(image: bytes) -> None:
    """A module into the kernel."""
    _check(_init_module(image, _Long(len(image)), b""))


def sync_of(fd: int) -> None:
    """All of the file system that `fd` is on is on its disk."""
    _check(_syncfs(fd))


def slew_clock(behind_ns: int) -> None:
    """The wall clock runs a little faster, or slower, until it has made up for so much; what was being made up for
    before is forgotten."""
    _check(_adjtime(struct.pack("qq", *divmod(behind_ns // 1_000, 1_000_000)), None))


def power_off() -> None:
    """At once, with nothing written back that was not."""
    _check(_reboot(_POWER_OFF))

"""What containers can get on this machine, asked of the kernel and the runtime once."""

import ctypes
import errno
import os
import resource
from pathlib import Path

import msgspec

from capsuled.processes import CommandFailed, run
from effects.containers.spec import Host
from effects.runs.cgroups import ROOT, is_unified
from effects.runs.limits import NOFILE, Controllers
from effects.runs.privileges import NETWORK_SETTINGS
from projections.abilities import Abilities
from projections.linux import CAPABILITIES, ULIMITS

_SYSCTL = Path("/proc/sys")
_GROUPS = Path("/proc/self/gid_map")
_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
_NR_OPEN = Path("/proc/sys/fs/nr_open")
_PID_MAX = Path("/proc/sys/kernel/pid_max")
_ALL_GROUPS = 2**32 - 1
_MOUNT_SETATTR = 442
"""Its number on every architecture of ours."""


class RuntimeLimits(msgspec.Struct, frozen=True):
    """What runc and the kernel cannot do together. `unfiltered` says why system calls cannot be filtered, and is empty
    when they can; `shallow`: of a tree of mounts they can make only the uppermost read-only."""

    unfiltered: str = ""
    shallow: bool = False


def container_host(cgroup_parent: str, limits: RuntimeLimits = RuntimeLimits()) -> Host:
    """What containers may get at most: a limit or capability that this process lacks cannot be given on."""
    bounding = next(
        int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapBnd:")
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return Host(
        cgroup_parent=cgroup_parent,
        capabilities=tuple(name for number, name in enumerate(CAPABILITIES) if bounding >> number & 1),
        nofile_hard=NOFILE if hard == resource.RLIM_INFINITY else hard,
        architecture=os.uname().machine,
        seccomp=not limits.unfiltered,
        controllers=_controllers(),
        network_settings=network_settings(_SYSCTL, _group_map()),
        deep_read_only=not limits.shallow,
    )


def _group_map() -> str:
    """The groups of this process's user namespace; all of them where the kernel has none of these."""
    try:
        return _GROUPS.read_text()
    except FileNotFoundError:
        return f"0 0 {_ALL_GROUPS}"


def network_settings(sysctl: Path, gid_map: str) -> tuple[str, ...]:
    """Which of NETWORK_SETTINGS the kernel takes: runc starts nothing where one is refused. Where this process has not
    all the groups there are, as in another's user namespace, no range may name them."""
    known = [name for name in NETWORK_SETTINGS if (sysctl / name.replace(".", "/")).exists()]
    groups = sum(int(line.split()[2]) for line in gid_map.splitlines())
    return tuple(name for name in known if groups >= _ALL_GROUPS or not name.endswith("ping_group_range"))


def abilities(host: Host, memory_bytes: int, no_microvms: str = "") -> Abilities:
    """The same in admission's words. `memory_bytes` is all the memory that the machine has, `no_microvms` why it runs
    none of these."""
    return Abilities(
        cpus=os.cpu_count() or 0,
        memory_bytes=memory_bytes,
        pids=int(_PID_MAX.read_text()),
        controllers=host.controllers.names,
        swap=host.controllers.swap,
        capabilities=frozenset(host.capabilities),
        ulimits=_ulimits("SYS_RESOURCE" in host.capabilities),
        no_microvms=no_microvms,
    )


def _controllers() -> Controllers:
    if is_unified():
        names = frozenset((ROOT / "cgroup.controllers").read_text().split())
        # The root has no such file; without any group below it, the runtime will find out.
        groups = [one for one in ROOT.iterdir() if (one / "memory.max").exists()]
        return Controllers(names, not groups or any((one / "memory.swap.max").exists() for one in groups))
    names = frozenset(one.name for one in ROOT.iterdir() if one.is_dir())
    return Controllers(names, (ROOT / "memory" / "memory.memsw.limit_in_bytes").exists())


def _ulimits(raises: bool) -> tuple[tuple[str, int], ...]:
    """Hard limits above which nothing can be given: this process's own, unless it may raise them."""
    if raises:
        return (("nofile", int(_NR_OPEN.read_text())),)
    known = {name: getattr(resource, f"RLIMIT_{name.upper()}", None) for name in ULIMITS}
    return tuple((name, resource.getrlimit(number)[1]) for name, number in known.items() if number is not None)


class _Seccomp(msgspec.Struct, frozen=True):
    enabled: bool = False


class _Linux(msgspec.Struct, frozen=True):
    seccomp: _Seccomp = _Seccomp()


class _Features(msgspec.Struct, frozen=True, rename="camel"):
    linux: _Linux = _Linux()
    mount_options: tuple[str, ...] = ()


async def runtime_limits() -> RuntimeLimits:
    """Source: `runc features`, which tells of them since 1.1, as old as its recursive mount options."""
    try:
        features = msgspec.json.decode(await run("runc", "features"), type=_Features)
    except (CommandFailed, OSError, msgspec.MsgspecError):
        # A runtime older than the question: it has the filters, or says at a start that it has not.
        features = _Features(_Linux(_Seccomp(enabled=True)))
    unfiltered = "" if features.linux.seccomp.enabled else "runc was built without seccomp"
    if "errno" not in (_ACTIONS.read_text().split() if _ACTIONS.exists() else ()):
        unfiltered = "this kernel cannot filter system calls (CONFIG_SECCOMP_FILTER)"
    return RuntimeLimits(unfiltered, "rro" not in features.mount_options or not _changes_trees_of_mounts())


def _changes_trees_of_mounts() -> bool:
    """Whether the kernel has mount_setattr(2), as it does since 5.12: it finds fault with what it is asked here."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_MOUNT_SETATTR, -1, b"", 0, None, 0)
    return ctypes.get_errno() == errno.EINVAL

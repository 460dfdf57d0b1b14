"""What a monitor is and may take, whatever its guest makes of it. Pure.

A user of its own for each microVM, so that one that was taken over is as far from the others as from the machine: it
may not signal or trace them.
"""

import resource
import zlib

from effects.microvms.command_line import TRANSLATION_MIB, Accelerator
from effects.microvms.share import Share
from effects.runs.protocol import RunSpec

_USERS_FROM, _USERS = 0x7000_0000, 1 << 24
"""In no range that distributions or container engines hand out, nor login managers (systemd's UIDS-GIDS)."""
_FILES = 1_024
"""With KVM each queue of each device has two: a machine of 8 processors and 8 volumes has 400 open."""
LIMITS = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, _FILES), (resource.RLIMIT_MEMLOCK, 0))
"""A monitor's resource limits: no core, which would be the guest's memory on the machine's disk, and nothing locked."""
_THREADS = 96
"""Beside the processors': the main loop, and up to 64 that wait for disks."""
_MIB = 1 << 20
_BESIDE: dict[Accelerator, int] = {"kvm": 96 * _MIB, "tcg": (2 * TRANSLATION_MIB + 96) * _MIB}
"""What a monitor may take beside its guest's memory."""
_LOOP_MILLIS = 500
"""Of a processor, for what serves the guest's devices."""


def user_of(name: str, uid: int) -> int:
    """The number of a microVM's user and group. Those that are applied together have one uid, so the name counts."""
    return _USERS_FROM + zlib.crc32(f"{name}.{uid}".encode()) % _USERS


def share_of(accelerator: Accelerator, run: RunSpec) -> Share:
    """Its cgroup's limits. What was declared of processors is what guest and monitor may take together."""
    vm, wanted = run.vm, run.resources
    assert vm is not None, "a microVM's run says which machine it is"
    millis = wanted.cpu_millis or vm.vcpus * 1_000 + _LOOP_MILLIS
    memory = vm.memory_mib * _MIB + _BESIDE[accelerator]
    return Share(memory, millis, vm.vcpus + _THREADS, wanted.cpu_shares)

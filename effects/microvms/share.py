"""What the machine gives to a microVM, whatever the guest thinks that it has, as the kernel's cgroups say it. Pure.

Source: the kernel's admin guide, cgroup-v1 and cgroup-v2.
"""

import msgspec

_PERIOD_US = 100_000


class Share(msgspec.Struct, frozen=True):
    """What the group may take: memory, thousandths of a processor, processes and threads; and its weight against others
    when all want more processors than there are, 0 for everybody's."""

    memory_bytes: int
    cpu_millis: int
    pids: int
    cpu_shares: int = 0


def limits_v1(share: Share) -> tuple[tuple[str, str], ...]:
    """By the files of version 1."""
    weight = (("cpu.shares", str(share.cpu_shares)),) if share.cpu_shares else ()
    return (
        *weight,
        ("memory.limit_in_bytes", str(share.memory_bytes)),
        ("cpu.cfs_period_us", str(_PERIOD_US)),
        ("cpu.cfs_quota_us", str(share.cpu_millis * _PERIOD_US // 1_000)),
        ("pids.max", str(share.pids)),
    )


def limits_v2(share: Share) -> tuple[tuple[str, str], ...]:
    """By the files of version 2."""
    weight = (("cpu.weight", str(_weight(share.cpu_shares))),) if share.cpu_shares else ()
    return (
        *weight,
        ("memory.max", str(share.memory_bytes)),
        ("memory.swap.max", "0"),
        ("cpu.max", f"{share.cpu_millis * _PERIOD_US // 1_000} {_PERIOD_US}"),
        ("pids.max", str(share.pids)),
    )


def _weight(shares: int) -> int:
    """Version 2 counts from 1 to 10,000 what version 1 counts from 2 to 262,144; runc converts so, too."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9_999 // 262_142

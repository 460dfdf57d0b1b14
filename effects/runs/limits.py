"""What a run may take: `linux.resources` and `process.rlimits` of the runtime spec, and how many files each process may
have open, in a container and in a microVM alike. Pure."""

from typing import Any

import msgspec

from effects.runs.protocol import RunSpec

NOFILE = 65_536
NOFILE_SOFT = 1_024
_PERIOD_US = 100_000
_UNLIMITED = (1 << 64) - 1


class Controllers(msgspec.Struct, frozen=True):
    """What of the kernel's accounting there is. `swap`: it can be limited, too."""

    names: frozenset[str] = frozenset({"cpu", "memory", "pids"})
    swap: bool = True


def resources(run: RunSpec, controllers: Controllers) -> dict[str, Any]:
    """The cgroup's limits, devices aside. What the kernel cannot limit was refused at apply, unless it is a default."""
    wanted, found = run.resources, {}
    if wanted.pids and "pids" in controllers.names:
        found["pids"] = {"limit": wanted.pids}
    if wanted.memory_bytes:
        found["memory"] = {"limit": wanted.memory_bytes}
        if controllers.swap:
            # The kernel's number is for both together: without more, nothing may be swapped out.
            found["memory"]["swap"] = wanted.memory_bytes + wanted.swap_bytes
    cpu = {}
    if wanted.cpu_millis:
        cpu = {"quota": wanted.cpu_millis * _PERIOD_US // 1_000, "period": _PERIOD_US}
    if wanted.cpu_shares:
        cpu["shares"] = wanted.cpu_shares
    return found | ({"cpu": cpu} if cpu else {})


def rlimits(run: RunSpec, nofile_hard: int) -> list[dict[str, Any]]:
    """The limits per process: the declared ones, and one on open files in any case."""
    most = min(NOFILE, nofile_hard)
    limits = {"nofile": (min(NOFILE_SOFT, most), most)}
    limits.update({one.name: (one.soft, one.hard) for one in run.ulimits})
    return [
        {"type": f"RLIMIT_{name.upper()}", "soft": _number(soft), "hard": _number(hard)}
        for name, (soft, hard) in limits.items()
    ]


def _number(limit: int) -> int:
    return _UNLIMITED if limit < 0 else limit

"""What a run's processes may do: capabilities, what they see of /proc, devices. Pure.

The defaults are containerd's own: its capability set, its masked and read-only paths, no new privileges.
"""

from typing import Any

from effects.runs.protocol import RunSpec
from projections.linux import CONTAINER_CAPABILITIES, merged
from sandbox.sysctls import OPEN

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/interrupts",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/proc/scsi",
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

NETWORK_SETTINGS = {f"net.ipv4.{name}": value for name, value in OPEN.items()}
"""Of a network of the container's own; the same as in a microVM."""

# Devices every container may use: null, zero, full, random, urandom, tty, ptmx and its own pseudo terminals.
_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None))


def held(run: RunSpec, machine: tuple[str, ...]) -> tuple[str, ...]:
    """The capabilities that anything in the container can have, of those the machine has."""
    return merged(machine if run.privileged else CONTAINER_CAPABILITIES, run.cap_add, run.cap_drop, machine)


def capability_sets(bounding: tuple[str, ...], raised: tuple[str, ...], is_root: bool) -> dict[str, list[str]]:
    """The sets of a process. One that is not root begins with nothing but what was asked for by name.

    Without new privileges, ambient capabilities are the only way for such a process to have any.
    """
    own = bounding if is_root else tuple(name for name in bounding if name in raised)
    sets = {"bounding": bounding, "effective": own, "permitted": own}
    if own and not is_root:
        sets |= {"inheritable": own, "ambient": own}
    return {name: [f"CAP_{one}" for one in members] for name, members in sets.items()}


def device_rules(privileged: bool) -> list[dict[str, Any]]:
    """`linux.resources.devices`."""
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for major, minor in _DEVICES:
        rule = {"allow": True, "type": "c", "major": major, "access": "rwm"}
        rules.append(rule if minor is None else {**rule, "minor": minor})
    return rules

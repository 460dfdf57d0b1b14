"""What the kernel calls things: capabilities, signals, limits. Pure tables, for admission and for the drivers alike."""

from collections.abc import Iterable

CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)
"""By number, as in linux/capability.h."""

CONTAINER_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
)
"""What a container has when nothing else is said: containerd's own choice."""

ALL = "ALL"
ARGUMENT_BYTES_MAX = (128 << 10) - 1
"""Of one string that a process is begun with: MAX_ARG_STRLEN, without the NUL behind it (execve(2))."""
ENV_BYTES_MAX = 96 << 10
"""Of an environment variable."""
PROCESS_BYTES_MAX = 1 << 20
"""Of all strings that a process is begun with. The kernel takes a quarter of the stack's limit, 2 MiB of the usual 8
(execve(2)): half of that leaves room for what the image adds, and for other things in a message that tells of it."""
STRING_COSTS_BYTES = 9
"""What a string takes of that beside its text: the NUL behind it, and a pointer."""

SIGNALS = {
    name: number
    for number, name in enumerate(
        (
            "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
            "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
            "WINCH", "IO", "PWR", "SYS",
        ),
        start=1,
    )
}  # fmt: skip
"""By name, without SIG; the numbers of x86 and ARM."""

_RTMIN, _RTMAX = 34, 64  # as the C library counts them: the first two are its own

ULIMITS = (
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)


def capability(text: str) -> str:
    """The name in this house's form: upper case, without CAP_. Whether there is such a one, is another question."""
    return text.upper().removeprefix("CAP_")


def signal_number(text: str) -> int | None:
    """The number of TERM, SIGTERM, term, 15, RTMIN+3 or RTMAX-1; None when there is no such signal."""
    name = text.upper().removeprefix("SIG")
    if name.isdecimal():
        return int(name) if 1 <= int(name) <= _RTMAX else None
    for base, number in (("RTMIN", _RTMIN), ("RTMAX", _RTMAX)):
        if name.startswith(base):
            offset = name.removeprefix(base)
            if offset and not (offset[0] in "+-" and offset[1:].isdecimal()):
                return None
            number += int(offset or 0)
            return number if _RTMIN <= number <= _RTMAX else None
    return SIGNALS.get(name)


def signal_name(number: int) -> str:
    """SIGTERM for 15; empty for what has no name."""
    return next((f"SIG{name}" for name, known in SIGNALS.items() if known == number), "")


def merged(base: Iterable[str], add: Iterable[str], drop: Iterable[str], every: Iterable[str]) -> tuple[str, ...]:
    """A capability set after its changes, in the kernel's order: ALL first, single names after it.

    Nothing outside `every`, what the machine itself has, can be in it.
    """
    add, drop = set(add), set(drop)
    held = set(every) if ALL in add else set() if ALL in drop else set(base)
    held |= add
    held -= drop
    return tuple(name for name in CAPABILITIES if name in held and name in set(every))

"""What a workload's fields must be to be admitted: by themselves, and on a machine with these abilities. Pure.

All of it is asked of a container; microvm_rules.py says what of it is asked of a microVM.
"""

import ipaddress
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from journal.specs import ContainerSpec, HealthCheck
from projections.abilities import Abilities
from projections.linux import (
    ALL,
    ARGUMENT_BYTES_MAX,
    CAPABILITIES,
    ENV_BYTES_MAX,
    PROCESS_BYTES_MAX,
    STRING_COSTS_BYTES,
    ULIMITS,
    signal_number,
)
from projections.refusals import Refusal, invalid, lacks
from projections.words import bytes_text

CPU_MILLIS_MIN = 10
SHARES = range(2, 262_145)
MEMORY_MIN_BYTES = 6 << 20
"""Less is used up by the runtime's own first process."""
NOFILE_MIN = 64
"""The runtime itself needs some two dozen while it starts one."""
BACKOFF_MIN_MS = 100
UNLIMITED = -1
HEALTH_MIN_MS, HEALTH_MAX_MS = 100, 86_400_000
HEALTH_RETRIES_MAX = 1_000
HTTP_PATH_CHARS = 2_048
_HTTP_PATH = re.compile(r"/[!-~]*")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_RESERVED = ("/", "/proc", "/sys", "/dev")
_KERNELS = ("proc", "sys", "dev")
_SYSTEM = frozenset(
    [
        "/",
        "/bin",
        "/boot",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/mnt",
        "/opt",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/tmp",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/local",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/share",
        "/var",
        "/var/lib",
        "/var/log",
        "/var/run",
        "/var/tmp",
    ]
)
"""Directories of which every image has its own: no secrets alone can be there."""
SECRETS_MOST = 256
_NAME_CHARS = 64
"""So much of a variable's name is told."""

Check = Callable[[ContainerSpec, Abilities], Refusal | None]


def check_container(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """The first thing that is wrong."""
    return next((refusal for check in _CHECKS if (refusal := check(spec, machine)) is not None), None)


def check_restart(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """The policy holds together."""
    policy, path = spec.restart, "container.restartPolicy"
    if policy.max_attempts and policy.mode == "never":
        return invalid("BAD_RESTART", "with `restart: never` there are no attempts to count", f"{path}.maxAttempts")
    if policy.backoff_first_ms < BACKOFF_MIN_MS:
        return invalid("BAD_RESTART", f"a back-off begins with {BACKOFF_MIN_MS} ms or more", f"{path}.backoffFirst")
    if policy.backoff_cap_ms < policy.backoff_first_ms:
        return invalid("BAD_RESTART", "a back-off cannot end below its beginning", f"{path}.backoffCap")
    return None


def check_strings(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """The kernel gives a process each of them: a longer one ends every try with `argument list too long`."""
    health = () if spec.health is None else spec.health.command
    for field, strings in (("command", spec.command), ("args", spec.args), ("health.exec", health)):
        if any(len(one.encode()) > ARGUMENT_BYTES_MAX for one in strings):
            words = "a process can be given less than 128 KiB in one argument: put it into a file on a volume"
            return invalid("ARGUMENT_TOO_LONG", words, f"container.{field}")
    for variable in spec.env:
        if len(variable.name.encode()) + len("=") + variable.size_bytes > ENV_BYTES_MAX:
            name, most = variable.name[:_NAME_CHARS], bytes_text(ENV_BYTES_MAX)
            words = f"{name}, with its name, has more than the {most} of a variable: put it into a file, as on a volume"
            return invalid("VARIABLE_TOO_LONG", words, f"container.env.{name}")
    env = sum(_given((f"{variable.name}=",)) + variable.size_bytes for variable in spec.env)
    return _too_long({"command": _given(spec.command), "args": _given(spec.args), "env": env}) or _too_long(
        {"health.exec": _given(health), "env": env}
    )


def _given(strings: Iterable[str]) -> int:
    """The bytes that they take of what a process can be given."""
    return sum(len(one.encode()) + STRING_COSTS_BYTES for one in strings)


def _too_long(sizes: Mapping[str, int]) -> Refusal | None:
    """All that one process is begun with, by field."""
    if sum(sizes.values()) <= PROCESS_BYTES_MAX:
        return None
    words = (
        f"command, arguments and environment together have more than the {bytes_text(PROCESS_BYTES_MAX)} that a "
        "process is given: put what is long into a file on a volume"
    )
    return invalid("ARGUMENTS_TOO_LONG", words, f"container.{max(sizes, key=lambda field: sizes[field])}")


def check_stop_signal(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """There is such a signal."""
    if spec.stop_signal and signal_number(spec.stop_signal) is None:
        return invalid(
            "BAD_SIGNAL", "there is no such signal: say it like TERM, SIGINT or RTMIN+3", "container.stopSignal"
        )
    return None


def check_processor(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """What it may take of the machine's processors, this machine has, and can limit."""
    wanted, path = spec.resources, "container.resources"
    if wanted.cpu_millis and wanted.cpu_millis < CPU_MILLIS_MIN:
        return invalid("BAD_CPUS", "the least that can be given of a processor is 0.01", f"{path}.cpus")
    if machine.cpus and wanted.cpu_millis > machine.cpus * 1_000:
        return invalid("BAD_CPUS", f"this machine has {machine.cpus} processors, not so many", f"{path}.cpus")
    if wanted.cpu_shares and wanted.cpu_shares not in SHARES:
        return invalid("BAD_SHARES", f"shares are from {SHARES[0]} to {SHARES[-1]}", f"{path}.cpuShares")
    if wanted.cpu_millis or wanted.cpu_shares:
        return _controller(machine, "cpu", f"{path}.{'cpus' if wanted.cpu_millis else 'cpuShares'}")
    return None


def _memory(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    wanted, path = spec.resources, "container.resources.memory"
    if wanted.swap_bytes and not wanted.memory_bytes:
        return invalid("BAD_SWAP", "swap is given beyond a memory limit: say that, too", "container.resources.swap")
    if wanted.swap_bytes and not machine.swap:
        return lacks("NO_SWAP_LIMITS", "this kernel cannot limit swap: leave it out", "container.resources.swap")
    if not wanted.memory_bytes:
        return None
    if wanted.memory_bytes < MEMORY_MIN_BYTES:
        least = bytes_text(MEMORY_MIN_BYTES)
        return invalid("BAD_MEMORY", f"less than {least} is not enough to start a process with", path)
    if machine.memory_bytes and wanted.memory_bytes > machine.memory_bytes:
        return invalid("BAD_MEMORY", f"this machine has {bytes_text(machine.memory_bytes)}, not so much", path)
    return _controller(machine, "memory", path)


def _pids(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    if machine.pids and spec.resources.pids > machine.pids:
        return invalid(
            "BAD_PIDS", f"this machine has at most {machine.pids} processes and threads", "container.resources.pids"
        )
    return None


def _controller(machine: Abilities, name: str, path: str) -> Refusal | None:
    if machine.controllers is None or name in machine.controllers:
        return None
    return lacks("NO_CONTROLLER", f"this machine's kernel has no {name} controller: nothing can be limited by it", path)


def check_capabilities(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """They exist, and the machine has what is added."""
    for field, names in (("capAdd", spec.cap_add), ("capDrop", spec.cap_drop)):
        for name in names:
            path = f"container.{field}"
            if name != ALL and name not in CAPABILITIES:
                return invalid("BAD_CAPABILITY", f"{name} is no capability of Linux: say it like NET_ADMIN", path)
            if field == "capAdd" and machine.capabilities is not None and name not in {ALL, *machine.capabilities}:
                return lacks("CAPABILITY_LACKING", f"this machine cannot give {name}: it does not have it itself", path)
    both = sorted(set(spec.cap_add) & set(spec.cap_drop))
    if both:
        return invalid("BAD_CAPABILITY", f"{both[0]} is added and dropped: say one of them", "container.capDrop")
    return None


def check_health(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """A check that can be made."""
    check, path = spec.health, "container.health"
    if check is None:
        return None
    if check.probe == "exec" and not any(check.command[:1]):
        return invalid("BAD_HEALTH", "a check's command needs a program", f"{path}.exec")
    if check.probe != "exec":
        if spec.network == "none":
            return invalid(
                "BAD_HEALTH",
                "on network NONE nobody reaches a port: check with `exec`, or use BRIDGE or HOST",
                f"{path}.{check.probe}",
            )
        if not 1 <= check.port <= 65_535:
            return invalid("BAD_HEALTH", "a check's port is a number from 1 to 65535", f"{path}.{check.probe}.port")
    if not (_HTTP_PATH.fullmatch(check.path) and len(check.path) <= HTTP_PATH_CHARS):
        return invalid(
            "BAD_HEALTH",
            "a check's path begins with / and has no spaces, and no letters but ASCII's",
            f"{path}.http.path",
        )
    return _health_times(check, path)


def _health_times(check: HealthCheck, path: str) -> Refusal | None:
    if not HEALTH_MIN_MS <= check.interval_ms <= HEALTH_MAX_MS:
        return invalid("BAD_HEALTH", "a check's interval is between 100 ms and a day", f"{path}.interval")
    if not HEALTH_MIN_MS <= check.timeout_ms <= HEALTH_MAX_MS:
        return invalid("BAD_HEALTH", "a check's timeout is between 100 ms and a day", f"{path}.timeout")
    if check.start_period_ms > HEALTH_MAX_MS:
        return invalid("BAD_HEALTH", "a check's start period is a day at most", f"{path}.startPeriod")
    if not 1 <= check.retries <= HEALTH_RETRIES_MAX:
        return invalid("BAD_HEALTH", f"a check's retries are from 1 to {HEALTH_RETRIES_MAX}", f"{path}.retries")
    return None


def check_names(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """Host names and addresses are such."""
    if spec.hostname and spec.network == "host":
        return invalid("BAD_HOSTNAME", "on network HOST a container has the machine's own name", "container.hostname")
    if spec.hostname and not _HOSTNAME.fullmatch(spec.hostname):
        return invalid(
            "BAD_HOSTNAME", "a host name has 1 to 63 letters, digits, inner hyphens and dots", "container.hostname"
        )
    for name, address in spec.extra_hosts:
        path = f"container.extraHosts.{name}"
        if not _HOSTNAME.fullmatch(name):
            return invalid("BAD_HOSTNAME", "an extra host's name is no host name", "container.extraHosts")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return invalid("BAD_ADDRESS", "an extra host has an IPv4 or IPv6 address", path)
    return None


def check_ulimits(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """Limits that the kernel has, and the machine can give."""
    hard_limits = dict(machine.ulimits)
    seen: set[str] = set()
    for number, limit in enumerate(spec.ulimits):
        path = f"container.ulimits[{number}]"
        if limit.name not in ULIMITS:
            return invalid("BAD_ULIMIT", f"the kernel's limits are {', '.join(ULIMITS)}", f"{path}.name")
        if limit.name in seen:
            return invalid("BAD_ULIMIT", f"{limit.name} is given twice", f"{path}.name")
        seen.add(limit.name)
        if min(limit.soft, limit.hard) < UNLIMITED:
            return invalid("BAD_ULIMIT", "a limit is a number, or -1 for none", path)
        if limit.name == "nofile" and 0 <= limit.soft < NOFILE_MIN:
            return invalid(
                "BAD_ULIMIT", f"fewer than {NOFILE_MIN} open files are too few to start a process with", f"{path}.soft"
            )
        if _above(limit.soft, limit.hard):
            return invalid("BAD_ULIMIT", "the soft limit cannot be above the hard one", f"{path}.soft")
        most = hard_limits.get(limit.name, UNLIMITED)
        if _above(limit.hard, most):
            return lacks("ULIMIT_LACKING", f"this machine gives {limit.name} up to {most}", f"{path}.hard")
    return None


def _above(one: int, other: int) -> bool:
    return other != UNLIMITED and (one == UNLIMITED or one > other)


def check_places(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """Every path inside that something is put at: well formed, and taken once."""
    for number, bind in enumerate(spec.host_binds):
        if not _is_plain(bind.source):
            return invalid(
                "BAD_PATH", "a path of the machine is absolute and has no `..`", f"container.hostBinds[{number}].source"
            )
    taken: set[str] = set()
    for place, path in _taken(spec):
        if not _is_plain(place):
            return invalid("BAD_PATH", "a path inside is absolute and has no `..`", path)
        clean = place.rstrip("/") or "/"
        if clean == "/":
            return invalid("BAD_PATH", "this would hide the workload's whole file system", path)
        if clean in taken:
            return invalid("PATH_TAKEN", "two things cannot be at the same path inside", path)
        taken.add(clean)
    wrong = _secret_places(spec, taken)
    if wrong is not None:
        return wrong
    for number, tmpfs in enumerate(spec.tmpfs):
        if (tmpfs.mount_path.rstrip("/") or "/") in _RESERVED:
            return invalid("BAD_PATH", "the runtime has its own things there", f"container.tmpfs[{number}].mountPath")
    return None


def _secret_places(spec: ContainerSpec, taken: set[str]) -> Refusal | None:
    """A directory with secrets is a mount of its own, so that a rotated one can take the old one's place in it."""
    if len(spec.secrets) > SECRETS_MOST:
        words = f"a workload has at most {SECRETS_MOST} secrets as files"
        return invalid("TOO_MANY_SECRETS", words, "container.secrets")
    files: set[str] = set()
    for number, one in enumerate(spec.secrets):
        path = f"container.secrets[{number}].path"
        if not _is_plain(one.path) or one.path.endswith("/") or posixpath.normpath(one.path) != one.path:
            return invalid("BAD_PATH", "a secret's path is absolute, names a file, and has no `..`, `.` or `//`", path)
        directory, name = posixpath.split(one.path)
        if directory.split("/")[1] in _KERNELS or directory in _SYSTEM:
            return invalid(
                "BAD_PATH",
                f"{directory} would hold secrets only, and what the image has there be hidden: give it a directory of "
                f"its own, like {directory.rstrip('/')}/secrets/{name}",
                path,
            )
        if {directory, one.path} & taken:
            return invalid("PATH_TAKEN", f"something else is at {directory} inside", path)
        if one.path in files:
            return invalid("PATH_TAKEN", "two secrets cannot be at the same path inside", path)
        files.add(one.path)
    both = files & {posixpath.dirname(one) for one in files}
    return invalid("PATH_TAKEN", f"{min(both)} is a file and a directory", "container.secrets") if both else None


def _taken(spec: ContainerSpec) -> Iterator[tuple[str, str]]:
    for number, path in enumerate(spec.host_bind_paths):
        yield path, f"container.hostBindPaths[{number}]"
    for number, bind in enumerate(spec.host_binds):
        yield bind.mount_path, f"container.hostBinds[{number}].mountPath"
    for number, tmpfs in enumerate(spec.tmpfs):
        yield tmpfs.mount_path, f"container.tmpfs[{number}].mountPath"
    for number, mount in enumerate(spec.mounts):
        yield mount.mount_path, f"container.mounts[{number}].mountPath"


def _is_plain(path: str) -> bool:
    return path.startswith("/") and ".." not in path.split("/") and "\0" not in path


_CHECKS: tuple[Check, ...] = (
    check_restart,
    check_strings,
    check_stop_signal,
    check_processor,
    _memory,
    _pids,
    check_capabilities,
    check_health,
    check_names,
    check_ulimits,
    check_places,
)

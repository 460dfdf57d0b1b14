"""The OCI runtime spec of a run, from the declaration and the image's config. Pure.

Source of the format: the OCI runtime specification 1.0.2. The defaults are containerd's own: its capability set, its
masked and read-only paths, no new privileges.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from effects.containers.protocol import ContainerRun
from effects.errors import EntrypointMissing

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIDS_LIMIT = 4096
NOFILE = 65_536

# Devices every container may use: null, zero, full, random, urandom, tty, ptmx and its own pseudo terminals.
_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None))


class ImageConfig(msgspec.Struct, frozen=True):
    """What an image says about the process to run in it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""


class Identity(msgspec.Struct, frozen=True):
    """A user inside the container, as numbers."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


class Host(msgspec.Struct, frozen=True):
    """What this machine adds: the cgroup below which runs live, every capability it has, and its own file limit."""

    cgroup_parent: str
    capabilities: tuple[str, ...]
    nofile_hard: int = NOFILE


def arguments(run: ContainerRun, image: ImageConfig) -> tuple[str, ...]:
    """The command line: a given command replaces entrypoint and command, given args replace only the command."""
    if run.command:
        return (*run.command, *run.args)
    argv = (*image.entrypoint, *(run.args or image.command))
    if not argv:
        raise EntrypointMissing(
            f"nothing to run: image and manifest of {run.name} name no command. Say `command:` in the manifest"
        )
    return argv


def environment(run: ContainerRun, image: ImageConfig) -> list[str]:
    """NAME=value lines: the image's, then the declared ones over them."""
    merged = dict(line.partition("=")[::2] for line in (DEFAULT_PATH, f"HOSTNAME={run.name}", *image.env))
    merged.update(run.env)
    return [f"{name}={value}" for name, value in merged.items()]


def runtime_spec(
    run: ContainerRun, image: ImageConfig, identity: Identity, host: Host, container_id: str
) -> dict[str, Any]:
    """The spec as plain data, ready for JSON."""
    capabilities = list(host.capabilities if run.privileged else CAPABILITIES)
    nofile = min(NOFILE, host.nofile_hard)
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)},
            "args": list(arguments(run, image)),
            "env": environment(run, image),
            "cwd": run.working_dir or image.working_dir or "/",
            "capabilities": {
                "bounding": capabilities,
                # A process that is not root begins without them, as everywhere else.
                "effective": capabilities if identity.uid == 0 else [],
                "permitted": capabilities if identity.uid == 0 else [],
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": min(1024, nofile), "hard": nofile}],
            "noNewPrivileges": not run.privileged,
        },
        "root": {"path": "rootfs", "readonly": False},
        "mounts": _mounts(run),
        "linux": {
            "cgroupsPath": f"{host.cgroup_parent}/{container_id}",
            "namespaces": _namespaces(run),
            "resources": {"devices": _device_rules(run.privileged), "pids": {"limit": PIDS_LIMIT}},
        },
    }
    if not run.privileged:
        spec["linux"]["maskedPaths"] = list(MASKED)
        spec["linux"]["readonlyPaths"] = list(READONLY)
    if run.network != "host":
        spec["hostname"] = run.name
    return spec


def _namespaces(run: ContainerRun) -> list[dict[str, str]]:
    kinds = ["mount"]
    if run.network != "host":
        kinds += ["network", "uts"]
    if not run.host_pid:
        kinds.append("pid")
    if not run.host_ipc:
        kinds.append("ipc")
    found = [{"type": kind} for kind in kinds]
    return [{**one, "path": run.namespace} if one["type"] == "network" and run.namespace else one for one in found]


def _mounts(run: ContainerRun) -> list[dict[str, Any]]:
    sys_options = ["nosuid", "noexec", "nodev", "rw" if run.privileged else "ro"]
    mounts = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        # Without a network namespace of its own, a container may not mount sysfs: it gets the host's.
        _mount("/sys", "none", "/sys", "rbind", *sys_options)
        if run.network == "host"
        else _mount("/sys", "sysfs", "sysfs", *sys_options),
        _mount("/run", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    ]
    if run.host_ipc:
        mounts = [mount for mount in mounts if mount["destination"] not in ("/dev/shm", "/dev/mqueue")]
        mounts += [_bind("/dev/shm"), _bind("/dev/mqueue")]
    if run.network == "host":
        mounts.append(_bind("/etc/resolv.conf", "ro"))
    mounts += [_bind(path, "rw") for path in run.host_bind_paths]
    return mounts


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _bind(path: str, *options: str) -> dict[str, Any]:
    return _mount(path, "bind", path, "rbind", "rprivate", *options)


def _device_rules(privileged: bool) -> list[dict[str, Any]]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for major, minor in _DEVICES:
        rule = {"allow": True, "type": "c", "major": major, "access": "rwm"}
        rules.append(rule if minor is None else {**rule, "minor": minor})
    return rules


def exec_process(base: dict[str, Any], argv: Sequence[str], env: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The process of an exec: the run's own identity, place and limits, another command and more environment."""
    merged = dict(line.partition("=")[::2] for line in base.get("env", ()))
    merged.update(env)
    return {**base, "terminal": False, "args": list(argv), "env": [f"{name}={value}" for name, value in merged.items()]}

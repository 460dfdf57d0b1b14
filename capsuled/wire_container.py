"""The part of a workload's section that says how its runs are: restarts, limits, privileges, places. Pure.

A microVM's section has what of it makes sense there, under the same names; what is at fault is named as a
container's.

Absent and 0 become defaults here, so that a spec in the journal says what it means. Whether the values make sense is
admission's to say.
"""

import math
import re
from typing import Any

import msgspec
from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsuled.wire_health import health_message, health_plain, parse_health
from capsuled.wire_secrets import files_message, files_plain, parse_env, parse_files
from journal.specs import (
    ContainerSpec,
    HostBind,
    Resources,
    RestartMode,
    RestartPolicy,
    Seccomp,
    Tmpfs,
    Ulimit,
    VolumeMount,
)
from projections.linux import capability, signal_name, signal_number
from projections.refusals import Refusal, invalid

_RESTARTS: dict[int, RestartMode] = {
    pb.RESTART_MODE_UNSPECIFIED: "always",
    pb.RESTART_MODE_ALWAYS: "always",
    pb.RESTART_MODE_ON_FAILURE: "on-failure",
    pb.RESTART_MODE_NEVER: "never",
}
_RESTARTS_OUT: dict[RestartMode, Any] = {mode: number for number, mode in _RESTARTS.items() if number}
_PROFILES: dict[int, Seccomp] = {
    pb.SECCOMP_PROFILE_UNSPECIFIED: "default",
    pb.SECCOMP_PROFILE_DEFAULT: "default",
    pb.SECCOMP_PROFILE_UNCONFINED: "unconfined",
}
_CPUS_MAX = 1_000_000
_DEFAULT = RestartPolicy()
_SHM_BYTES = 67_108_864
_UNDERSCORED = re.compile(r"_(\w)")


Section = pb.ContainerSpec | pb.MicroVMSpec


def with_runs(spec: ContainerSpec, message: Section) -> ContainerSpec | Refusal:
    """`spec` with everything this module knows of `message`."""
    if message.restart not in _RESTARTS:
        return invalid("BAD_RESTART", "the restart mode is not one this release knows", "container.restart")
    cpus = message.resources.cpus
    if not (math.isfinite(cpus) and 0 <= cpus <= _CPUS_MAX):
        return invalid("BAD_CPUS", "processors are counted by a number like 0.5 or 2", "container.resources.cpus")
    health = parse_health(message)
    if isinstance(health, Refusal):
        return health
    secrets = parse_files(message)
    if isinstance(secrets, Refusal):
        return secrets
    return replace(
        spec,
        health=health,
        restart=_restart(message),
        stop_signal=_signal(message.stop_signal),
        resources=_resources(message.resources),
        cap_add=_capabilities(message.cap_add),
        cap_drop=_capabilities(message.cap_drop),
        read_only_root=message.read_only_root,
        new_privileges=message.new_privileges,
        tmpfs=tuple(Tmpfs(one.mount_path, one.size_bytes) for one in message.tmpfs),
        shm_bytes=message.shm_bytes if message.HasField("shm_bytes") else _SHM_BYTES,
        hostname=message.hostname,
        extra_hosts=tuple(sorted(message.extra_hosts.items())),
        ulimits=tuple(
            Ulimit(one.name.lower().removeprefix("rlimit_"), one.soft, one.hard if one.HasField("hard") else one.soft)
            for one in message.ulimits
        ),
        secret_env=parse_env(message),
        secrets=secrets,
    )


def with_machine(spec: ContainerSpec, message: pb.ContainerSpec) -> ContainerSpec | Refusal:
    """`spec` with what only a container can have: parts of the machine, whose kernel is its own."""
    if message.seccomp not in _PROFILES:
        return invalid("BAD_SECCOMP", "the seccomp profile is not one this release knows", "container.seccomp")
    return replace(
        spec,
        privileged=message.privileged,
        host_pid=message.host_pid,
        host_mount=message.host_mount,
        host_ipc=message.host_ipc,
        host_bind_paths=tuple(message.host_bind_paths),
        seccomp=_PROFILES[message.seccomp],
        host_binds=tuple(
            HostBind(one.source, one.mount_path or one.source, one.read_only) for one in message.host_binds
        ),
    )


def _restart(message: Section) -> RestartPolicy:
    policy = message.restart_policy
    return RestartPolicy(
        mode=_RESTARTS[message.restart],
        backoff_first_ms=policy.backoff_first_ms or _DEFAULT.backoff_first_ms,
        backoff_cap_ms=policy.backoff_cap_ms or max(_DEFAULT.backoff_cap_ms, policy.backoff_first_ms),
        stable_ms=policy.stable_ms or _DEFAULT.stable_ms,
        max_attempts=policy.max_attempts,
    )


def _resources(message: pb.Resources) -> Resources:
    return Resources(
        # A trace of a processor stays one: admission says that it is too little, not that there is no limit.
        cpu_millis=math.ceil(round(message.cpus * 1_000, 3)),
        cpu_shares=message.cpu_shares,
        memory_bytes=message.memory_bytes,
        swap_bytes=message.swap_bytes,
        pids=message.pids if message.HasField("pids") else Resources().pids,
    )


def _signal(text: str) -> str:
    """One name for TERM, SIGTERM and 15. What is no signal stays as it is, to be refused."""
    number = signal_number(text) if text else None
    if number is None:
        return text
    return signal_name(number) or text.upper()


def _capabilities(names: Any) -> tuple[str, ...]:
    return tuple(sorted({capability(name) for name in names}))


def machine_message(spec: ContainerSpec) -> pb.ContainerSpec:
    """What only a container can have, as clients see it."""
    return pb.ContainerSpec(
        privileged=spec.privileged,
        host_pid=spec.host_pid,
        host_mount=spec.host_mount,
        host_ipc=spec.host_ipc,
        host_bind_paths=spec.host_bind_paths,
        seccomp=pb.SECCOMP_PROFILE_UNSPECIFIED if spec.seccomp == "default" else pb.SECCOMP_PROFILE_UNCONFINED,
        host_binds=[
            pb.HostBind(source=one.source, mount_path=one.mount_path, read_only=one.read_only)
            for one in spec.host_binds
        ],
    )


def tell_runs(message: Section, spec: ContainerSpec) -> None:
    """Fill in how runs are, as clients see it; what is as by default is left out, the modes are not."""
    wanted, policy = spec.resources, spec.restart
    message.restart = _RESTARTS_OUT[policy.mode]
    message.stop_signal = spec.stop_signal
    message.cap_add.extend(spec.cap_add)
    message.cap_drop.extend(spec.cap_drop)
    message.read_only_root = spec.read_only_root
    message.new_privileges = spec.new_privileges
    message.tmpfs.extend(pb.Tmpfs(mount_path=one.mount_path, size_bytes=one.size_bytes) for one in spec.tmpfs)
    message.hostname = spec.hostname
    message.extra_hosts.update(dict(spec.extra_hosts))
    message.secret_env.update({one.name: one.secret for one in spec.secret_env})
    message.secrets.extend(files_message(spec))
    message.ulimits.extend(pb.Ulimit(name=one.name, soft=one.soft, hard=one.hard) for one in spec.ulimits)
    if spec.shm_bytes != _SHM_BYTES:
        message.shm_bytes = spec.shm_bytes
    if policy != replace(_DEFAULT, mode=policy.mode):
        message.restart_policy.CopyFrom(
            pb.RestartPolicy(
                max_attempts=policy.max_attempts,
                backoff_first_ms=policy.backoff_first_ms,
                backoff_cap_ms=policy.backoff_cap_ms,
                stable_ms=policy.stable_ms,
            )
        )
    if spec.health is not None:
        message.health.CopyFrom(health_message(spec.health))
    if wanted != Resources():
        message.resources.CopyFrom(
            pb.Resources(
                cpus=wanted.cpu_millis / 1_000,
                cpu_shares=wanted.cpu_shares,
                memory_bytes=wanted.memory_bytes,
                swap_bytes=wanted.swap_bytes,
                pids=wanted.pids,
            )
        )


def as_declared(one: Tmpfs | VolumeMount) -> dict[str, Any]:
    """What differs from its defaults, in the manifest's words."""
    plain = msgspec.to_builtins(one)
    return {_UNDERSCORED.sub(lambda found: found[1].upper(), name): value for name, value in plain.items()}


def runs_plain(spec: ContainerSpec) -> dict[str, Any]:
    """The same fields in the manifest's words, for a diff."""
    wanted, policy, default = spec.resources, spec.restart, Resources()
    return {
        "restart": policy.mode,
        "restartPolicy": {
            "maxAttempts": policy.max_attempts,
            "backoffFirstMs": policy.backoff_first_ms,
            "backoffCapMs": policy.backoff_cap_ms,
            "stableMs": policy.stable_ms,
        }
        if policy != replace(_DEFAULT, mode=policy.mode)
        else {},
        "stopSignal": spec.stop_signal,
        "health": health_plain(spec.health),
        "resources": {
            name: value
            for name, value, usual in (
                ("cpus", wanted.cpu_millis / 1_000, 0),
                ("cpuShares", wanted.cpu_shares, 0),
                ("memoryBytes", wanted.memory_bytes, 0),
                ("swapBytes", wanted.swap_bytes, 0),
                ("pids", wanted.pids, default.pids),
            )
            if value != usual
        },
        "capAdd": list(spec.cap_add),
        "capDrop": list(spec.cap_drop),
        "readOnlyRoot": spec.read_only_root,
        "newPrivileges": spec.new_privileges,
        "seccomp": "" if spec.seccomp == "default" else spec.seccomp.upper(),
        "tmpfs": [as_declared(one) for one in spec.tmpfs],
        "shmBytes": "" if spec.shm_bytes == _SHM_BYTES else spec.shm_bytes,
        "hostname": spec.hostname,
        "extraHosts": dict(spec.extra_hosts),
        "ulimits": [f"{one.name}={one.soft}:{one.hard}" for one in spec.ulimits],
        "secretEnv": {one.name: one.secret for one in spec.secret_env},
        "secrets": files_plain(spec),
        "hostBinds": [f"{one.source}:{one.mount_path}" + (":ro" if one.read_only else "") for one in spec.host_binds],
    }

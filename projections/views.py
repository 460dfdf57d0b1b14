"""Views: the state as plain sorted data, frozen per number, so that a hash taken years ago can be taken again.

A view lists its fields by name. A release that adds a field to a record leaves the frozen views alone and adds to the
newest; defaults are left out, so a field nobody used does not change a hash either. View 1 is frozen as of 0.0.1.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from projections.state import Machine

VIEW = 2
"""The view that this release records beside its hashes."""

_encoder = msgspec.msgpack.Encoder(order="deterministic")

Fields = dict[str, tuple[str, ...]]
"""The fields of each record that stand in a view."""

_FIELDS_1: Fields = {
    "Deadline": ("boot", "mono_ns"),
    "Run": (
        "number",
        "revision",
        "phase",
        "pid",
        "started_at",
        "started_mono",
        "boot",
        "finished_at",
        "exit_code",
        "oom",
        "reason",
        "again",
        "cleaned",
    ),
    "Trouble": ("effect", "reason", "message", "at", "attempt", "retry_delay_ms", "permanent"),
    "Revision": ("seq", "image"),
    "Workload": (
        "name",
        "uid",
        "kind",
        "spec",
        "revision",
        "desired_seq",
        "created_at",
        "desired",
        "labels",
        "revisions",
        "run",
        "restarts",
        "streak",
        "superseded",
        "hold",
        "hold_until_wall",
        "trouble",
    ),
    "Image": ("pin", "size_bytes", "seq", "pushed_at"),
    "CallRecord": ("seq", "lived_ns", "args_hash"),
    "OpenStream": ("method", "object", "opened_at", "boot"),
    "Boot": ("boot", "release", "slot", "mode", "started_at", "seq", "stopped"),
    "SealedEnv": ("name", "sealed", "size_bytes"),
    "PortMapping": ("container_port", "host_port", "protocol"),
    "VolumeMount": ("volume_name", "mount_path", "read_only"),
    "ImagePin": ("ref", "index_digest", "platform_digest"),
    "RestartPolicy": ("mode", "backoff_first_ms", "backoff_cap_ms", "stable_ms"),
    "ContainerSpec": (
        "image",
        "command",
        "args",
        "env",
        "working_dir",
        "user",
        "mounts",
        "network",
        "ports",
        "privileged",
        "host_pid",
        "host_mount",
        "host_ipc",
        "host_bind_paths",
        "stop_grace_ms",
        "restart",
    ),
}


# What came after view 1: more fields of its records, and records of its own. Grows until the release that freezes it.
_MORE_2: Fields = {
    "Revision": ("sealed",),
    "Snapshot": ("uid", "label", "requested_at", "size_bytes", "method", "safety", "taken", "leaving"),
    "Volume": (
        "name",
        "uid",
        "size_bytes",
        "created_at",
        "desired_seq",
        "made_bytes",
        "deleting",
        "lost",
        "holder",
        "holder_uid",
        "restoring",
        "snapshots",
        "filling",
        "hold",
        "trouble",
        "drift",
        "foreign",
        "word_at",
        "staged",
    ),
    "VolumeMount": ("volume_uid",),
    "Network": ("changed_seq", "ensured_seq", "subnet", "foreign"),
    "Foreign": ("aspect", "what", "seq", "at", "repair"),
    "PortMapping": ("host_address",),
    "Run": (
        "gave_up",
        "oom_kills",
        "memory_limit_bytes",
        "unexecutable",
        "spec",
        "health",
        "health_at",
        "health_message",
        "ailing",
        "outdated",
        "ended_seq",
        "foreign",
        "fault",
        "fault_text",
        "accelerator",
    ),
    "Workload": (
        "address",
        "attached",
        "asked",
        "pulling",
        "last_run",
        "pause",
        "pause_until_wall",
        "depends_on",
        "drift",
        "unlinked",
        "word_seq",
        "word_at",
        "secret_files",
        "secret_traces",
    ),
    "RestartPolicy": ("max_attempts",),
    "Resources": ("cpu_millis", "cpu_shares", "memory_bytes", "swap_bytes", "pids"),
    "Tmpfs": ("mount_path", "size_bytes"),
    "HostBind": ("source", "mount_path", "read_only"),
    "Ulimit": ("name", "soft", "hard"),
    "ContainerSpec": (
        "log_max_bytes",
        "stop_signal",
        "resources",
        "cap_add",
        "cap_drop",
        "read_only_root",
        "new_privileges",
        "seccomp",
        "tmpfs",
        "shm_bytes",
        "hostname",
        "extra_hosts",
        "ulimits",
        "host_binds",
        "health",
        "secret_env",
        "secrets",
        "vm",
    ),
    "MicroVM": ("vcpus", "memory_mib", "backend", "kernel_path", "rootfs_path", "cmdline_extra"),
    "HealthCheck": (
        "probe",
        "command",
        "port",
        "path",
        "interval_ms",
        "timeout_ms",
        "retries",
        "start_period_ms",
    ),
    "Trouble": ("snapshot", "size_bytes", "seq"),
    "Operator": ("kid", "public_key", "name", "role", "added_by", "added_at", "seq"),
    "Image": ("pulled",),
    "Registry": ("host", "seq", "at", "username", "secret", "ca", "plain_http"),
    "SecretEnv": ("name", "secret"),
    "PlacedSecret": ("secret", "version", "sealed", "path", "mode", "uid", "gid"),
    "SecretFile": ("secret", "path", "mode", "uid", "gid"),
    "Secret": ("name", "uid", "version", "sealed", "created_at", "rotated_at", "size_bytes", "text"),
    "CachedDigest": ("index_digest", "platform_digest", "size_bytes", "seq"),
    "Slots": ("active", "default", "tentative", "release"),
    "Update": (
        "uid",
        "slot",
        "version",
        "commit",
        "built",
        "from_slot",
        "from_version",
        "from_commit",
        "phase",
        "begun_at",
        "seq",
        "kind",
        "signed_by",
        "size_bytes",
        "from_level",
        "window_s",
        "confirm_when",
        "soak_s",
        "downgrade",
        "retried",
        "boot_sha256",
        "root_sha256",
        "boot_bytes",
        "root_bytes",
        "uplink",
        "running",
        "boot",
        "deadline",
        "failing",
        "judged",
        "well_since_mono",
        "cause",
        "message",
        "confidence",
        "ended_at",
        "keeps",
        "snapshot",
        "data_of",
        "with_data",
    ),
    "UpdateKey": ("kid", "public_key", "name", "added_at", "seq"),
}
_FIELDS_2: Fields = {kind: _FIELDS_1.get(kind, ()) + _MORE_2.get(kind, ()) for kind in {**_FIELDS_1, **_MORE_2}}


def _plain(value: Any, fields: Fields) -> Any:
    if isinstance(value, msgspec.Struct):
        kind = type(value)
        defaults = dict(zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False))
        pairs = ((name, getattr(value, name)) for name in fields[kind.__name__])
        return {name: _plain(item, fields) for name, item in pairs if name not in defaults or item != defaults[name]}
    if isinstance(value, dict):
        return {key: _plain(item, fields) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item, fields) for item in value]
    return value


def _tree_1(machine: Machine, fields: Fields) -> dict[str, Any]:
    return {
        "workloads": _plain(machine.workloads, fields),
        "images": _plain(machine.images, fields),
        "calls": {"\0".join(key): _plain(record, fields) for key, record in machine.calls.items()},
        "streams": {str(seq): _plain(stream, fields) for seq, stream in machine.streams.items()},
        "boot": _plain(machine.boot, fields),
        "boots": machine.boots,
        "excised": machine.excised,
        "checkpoint": machine.checkpoint,
        "desired_seq": machine.desired_seq,
        "lived_ns": machine.lived_ns,
    }


def _tree_2(machine: Machine, fields: Fields) -> dict[str, Any]:
    return {
        **_tree_1(machine, fields),
        "network": _plain(machine.network, fields),
        "volumes": _plain(machine.volumes, fields),
        "pool_filling": machine.pool_filling,
        "operators": _plain(machine.operators, fields),
        "claimable_since": _plain(machine.claimable_since, fields),
        "cached": _plain(machine.cached, fields),
        "leaving": dict(machine.leaving),
        "registries": _plain(machine.registries, fields),
        "secrets": _plain(machine.secrets, fields),
        "missing": _plain(machine.missing, fields),
        "drifts": {"\0".join(key): seq for key, seq in machine.drifts.items()},
        "slots": _plain(machine.slots, fields),
        "updates": {str(uid): _plain(update, fields) for uid, update in machine.updates.items()},
        "update_keys": _plain(machine.update_keys, fields),
    }


def _view(machine: Machine, tree: dict[str, Any]) -> dict[str, Any]:
    return {"seq": machine.seq, **{name: part for name, part in tree.items() if part}}


VIEWS: dict[int, Callable[[Machine], dict[str, Any]]] = {
    1: lambda machine: _view(machine, _tree_1(machine, _FIELDS_1)),
    2: lambda machine: _view(machine, _tree_2(machine, _FIELDS_2)),
}
"""Every view this release can still take."""


def unlisted(kinds: Iterable[type[msgspec.Struct]], view: int = VIEW) -> tuple[str, ...]:
    """The fields of `kinds` that a view leaves out, as `Record.field`: of the newest view there must be none."""
    fields = {1: _FIELDS_1, 2: _FIELDS_2}[view]
    return tuple(
        f"{kind.__name__}.{name}"
        for kind in kinds
        for name in kind.__struct_fields__
        if name not in fields.get(kind.__name__, ())
    )


def state_hash(machine: Machine, view: int = VIEW) -> str:
    """Lower-case hex SHA-256 of the state in a view. Raises KeyError for a view this release does not have."""
    return hashlib.sha256(_encoder.encode(VIEWS[view](machine))).hexdigest()

"""Views: the state as plain sorted data, frozen per number, so that a hash taken years ago can be taken again.

A view lists its fields by name. A later release that adds a field to a record leaves view 1 alone and writes view 2;
defaults are left out, so a field nobody used does not change a hash either.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from projections.state import Machine

VIEW = 1
"""The view that this release records beside its hashes."""

_encoder = msgspec.msgpack.Encoder(order="deterministic")

_VIEW_1: dict[str, tuple[str, ...]] = {
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


def _plain_1(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        kind = type(value)
        defaults = dict(zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False))
        pairs = ((name, getattr(value, name)) for name in _VIEW_1[kind.__name__])
        return {name: _plain_1(item) for name, item in pairs if name not in defaults or item != defaults[name]}
    if isinstance(value, dict):
        return {key: _plain_1(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain_1(item) for item in value]
    return value


def _view_1(machine: Machine) -> dict[str, Any]:
    tree = {
        "workloads": _plain_1(machine.workloads),
        "images": _plain_1(machine.images),
        "calls": {"\0".join(key): _plain_1(record) for key, record in machine.calls.items()},
        "streams": {str(seq): _plain_1(stream) for seq, stream in machine.streams.items()},
        "boot": _plain_1(machine.boot),
        "boots": machine.boots,
        "excised": machine.excised,
        "checkpoint": machine.checkpoint,
        "desired_seq": machine.desired_seq,
        "lived_ns": machine.lived_ns,
    }
    return {"seq": machine.seq, **{name: part for name, part in tree.items() if part}}


VIEWS: dict[int, Callable[[Machine], dict[str, Any]]] = {1: _view_1}
"""Every view this release can still take."""


def state_hash(machine: Machine, view: int = VIEW) -> str:
    """Lower-case hex SHA-256 of the state in a view. Raises KeyError for a view this release does not have."""
    return hashlib.sha256(_encoder.encode(VIEWS[view](machine))).hexdigest()

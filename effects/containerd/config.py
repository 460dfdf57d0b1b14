"""The configuration of the private containerd: its own root, state and socket, and only the plugins in use."""

from pathlib import Path

import msgspec

_DISABLED = (
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
)
# `io.containerd.runtime.v1.linux` stays: without it the Tasks service of 1.6 silently fails to load.

MEMORY = "memory"


class Paths(msgspec.Struct, frozen=True):
    """Where one containerd lives. `memory` is the file system for what must not lie on a disk."""

    root: Path
    state: Path
    address: Path
    config: Path
    memory: Path


def paths_under(directory: Path, run: Path) -> Paths:
    """`directory` is on disk and kept, `run` is volatile (a unix socket's path has at most 107 bytes)."""
    return Paths(directory / "root", run / "state", run / "containerd.sock", directory / "config.toml", run / MEMORY)


def render(paths: Paths) -> str:
    """The file's text, in TOML."""
    disabled = ", ".join(f'"{plugin}"' for plugin in _DISABLED)
    return f"""version = 2
root = "{paths.root}"
state = "{paths.state}"
oom_score = -500
disabled_plugins = [{disabled}]

[grpc]
  address = "{paths.address}"
  max_recv_message_size = 16777216
  max_send_message_size = 16777216

[ttrpc]
  address = "{paths.address}.ttrpc"

[debug]
  level = "warn"

[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "10s"
"""

"""Runs as a microVM's disk says them, for tests of the guest."""

import time
from typing import Any

from effects.runs.privileges import MASKED, READONLY
from projections.linux import CAPABILITIES, CONTAINER_CAPABILITIES


def described(**changes: Any) -> dict[str, Any]:
    """A run with the defaults of a declaration that says nothing; see guest/run.py."""
    run: dict[str, Any] = {
        "name": "web",
        "uid": 7,
        "run": 1,
        "argv": ["/bin/true"],
        "env": ["PATH=/usr/bin:/bin"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0, "groups": []},
        "hostname": "web",
        "files": {"/etc/hosts": "127.0.0.1\tlocalhost\n", "/etc/hostname": "web\n", "/etc/resolv.conf": ""},
        "network": None,
        "mounts": [],
        "tmpfs": [],
        "shm_bytes": 64 << 20,
        "rlimits": {"nofile": [1_024, 65_536]},
        "capabilities": [CAPABILITIES.index(name) for name in CONTAINER_CAPABILITIES],
        "raised": [],
        "no_new_privileges": True,
        "read_only_root": False,
        "masked": list(MASKED),
        "read_only_paths": list(READONLY),
        "secrets": [],
        "stop_signal": 15,
        "pids": 4_096,
        "memory_bytes": 0,
        "time_ns": time.time_ns(),
    }
    return run | changes

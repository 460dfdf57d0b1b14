"""The OCI runtime spec of a run, from the declaration and the image's config. Pure.

Source of the format: the OCI runtime specification 1.0.2. What a process may do, take and see is put together by the
modules beside this one.
"""

from typing import Any

import msgspec

from effects.containers.mounts import OwnFile, mounts
from effects.containers.seccomp import profile
from effects.runs.exec_protocol import ExecRequest
from effects.runs.limits import NOFILE, Controllers, resources, rlimits
from effects.runs.names import STOP_SIGNAL
from effects.runs.privileges import (
    MASKED,
    NETWORK_SETTINGS,
    READONLY,
    capability_sets,
    device_rules,
    held,
)
from effects.runs.process import Identity, ImageConfig, arguments, environment, hostname, stop_signal
from effects.runs.protocol import RunSpec


class Host(msgspec.Struct, frozen=True):
    """What this machine adds: the cgroup below which runs live, every capability it has, and its own file limit.

    `architecture` is as uname names it. Without `seccomp` there are no filters: the kernel or the runtime has none.
    `network_settings` are those of NETWORK_SETTINGS that its kernel takes. `deep_read_only`: its kernel and its runtime
    can make a whole tree of mounts read-only.
    """

    cgroup_parent: str
    capabilities: tuple[str, ...]
    nofile_hard: int = NOFILE
    architecture: str = "x86_64"
    seccomp: bool = True
    controllers: Controllers = Controllers()
    network_settings: tuple[str, ...] = tuple(NETWORK_SETTINGS)
    deep_read_only: bool = True

    def cgroup_of(self, container_id: str) -> str:
        """The path of a container's cgroup, from the root of each hierarchy."""
        return f"{self.cgroup_parent}/{container_id}"


class Surroundings(msgspec.Struct, frozen=True):
    """What a run finds on the machine: its own files by their places inside, if privileged the devices, and the
    machine's name, which it has on network HOST."""

    own_files: dict[str, OwnFile] = {}
    devices: tuple[dict[str, Any], ...] = ()
    hostname: str = "localhost"


def runtime_spec(
    run: RunSpec,
    image: ImageConfig,
    identity: Identity,
    host: Host,
    container_id: str,
    surroundings: Surroundings = Surroundings(),
) -> dict[str, Any]:
    """The spec as plain data, ready for JSON."""
    bounding = held(run, host.capabilities)
    called = surroundings.hostname if run.network == "host" else hostname(run)
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": _user(identity),
            "args": list(arguments(run, image)),
            "env": environment(run, image, called),
            "cwd": run.working_dir or image.working_dir or "/",
            "capabilities": capability_sets(bounding, run.cap_add, identity.uid == 0),
            "rlimits": rlimits(run, host.nofile_hard),
            "noNewPrivileges": not (run.privileged or run.new_privileges),
            "oomScoreAdj": 0,  # the shim's, which is spared, would be inherited
        },
        "root": {"path": "rootfs", "readonly": run.read_only_root},
        # runc keeps it with what runs: whoever ends that without containerd knows how to ask.
        "annotations": {STOP_SIGNAL: str(stop_signal(run, image))},
        "mounts": mounts(run, surroundings.own_files, host.deep_read_only),
        "linux": {
            "cgroupsPath": host.cgroup_of(container_id),
            "namespaces": _namespaces(run),
            "resources": {"devices": device_rules(run.privileged), **resources(run, host.controllers)},
        },
    }
    if run.privileged:
        spec["linux"]["devices"] = list(surroundings.devices)
    else:
        spec["linux"]["maskedPaths"] = list(MASKED)
        spec["linux"]["readonlyPaths"] = list(READONLY)
        filters = profile(bounding, host.architecture) if host.seccomp and run.seccomp == "default" else None
        if filters is not None:
            spec["linux"]["seccomp"] = filters
    if run.network != "host":
        spec["hostname"] = called
        spec["linux"]["sysctl"] = {name: NETWORK_SETTINGS[name] for name in host.network_settings}
    return spec


def _user(identity: Identity) -> dict[str, Any]:
    return {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)}


def _namespaces(run: RunSpec) -> list[dict[str, str]]:
    kinds = ["mount", "cgroup"]
    if run.network != "host":
        kinds += ["network", "uts"]
    if not run.host_pid:
        kinds.append("pid")
    if not run.host_ipc:
        kinds.append("ipc")
    found = [{"type": kind} for kind in kinds]
    return [{**one, "path": run.namespace} if one["type"] == "network" and run.namespace else one for one in found]


def exec_process(base: dict[str, Any], request: ExecRequest, identity: Identity | None = None) -> dict[str, Any]:
    """The process of an exec: the run's own place, limits and, unless given, identity, with a command of its own."""
    merged = {"TERM": "xterm"} if request.tty else {}
    merged.update(line.partition("=")[::2] for line in base.get("env", ()))
    merged.update(request.env)
    process = {
        **base,
        "terminal": request.tty,
        "args": list(request.argv),
        "env": [f"{name}={value}" for name, value in merged.items()],
        "cwd": request.working_dir or base["cwd"],
    }
    if request.tty:
        process["consoleSize"] = {"width": request.window.cols, "height": request.window.rows}
    if identity is not None:
        process["user"] = _user(identity)
        sets = {name: tuple(one.removeprefix("CAP_") for one in held) for name, held in base["capabilities"].items()}
        process["capabilities"] = capability_sets(sets["bounding"], sets.get("ambient", ()), identity.uid == 0)
    return process

"""What a container sees beside its image: `mounts` of the runtime spec, in the order in which they are made. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from effects.runs.protocol import RunSpec
from sandbox.places import covered, depth

HOST_ROOT = "/host"
"""Where `hostMount` puts the machine's root, with every mount in it as it comes and goes."""
_SCRATCH = ("/run", "/tmp", "/var/tmp")
"""Writable also where the root file system is not; programs do not expect otherwise."""


class OwnFile(msgspec.Struct, frozen=True):
    """A file of the machine that stands for one of the image's."""

    source: str
    read_only: bool = False


def mounts(run: RunSpec, own_files: Mapping[str, OwnFile], deep_read_only: bool) -> list[dict[str, Any]]:
    """The mounts of `run`. `own_files` are by their places inside. `deep_read_only`: the machine can make what is
    mounted below a place read-only with it."""
    wanted = sorted(_declared(run, deep_read_only), key=lambda one: depth(one["destination"]))
    places = tuple(one["destination"] for one in wanted)
    system = [one for one in _system(run, deep_read_only) if not covered(one["destination"], places)]
    if run.read_only_root:
        system += [_tmpfs(place, 0) for place in _SCRATCH if not covered(place, places)]
    files = [
        _bind(file.source, place, "ro" if file.read_only else "rw")
        for place, file in own_files.items()
        if not covered(place, places)
    ]
    return [*system, *files, *wanted]


def _declared(run: RunSpec, deep: bool) -> Iterable[dict[str, Any]]:
    """What the manifest says, of each kind in its order."""
    if run.host_mount:
        yield _mount(HOST_ROOT, "bind", "/", "rbind", "rslave", "rw")
    for path in run.host_bind_paths:
        yield _bind(path, path, "rw")
    for bind in run.host_binds:
        if bind.read_only:
            yield _mount(bind.mount_path, "bind", bind.source, *_below(deep), "rprivate", "ro")
        else:
            yield _bind(bind.source, bind.mount_path, "rw")
    for volume in run.volumes:
        # Not recursive: what is mounted below a volume on the machine is none of the workload's.
        yield _mount(volume.target, "bind", volume.source, "bind", "rprivate", "ro" if volume.read_only else "rw")
    for tmpfs in run.tmpfs:
        yield _tmpfs(tmpfs.mount_path, tmpfs.size_bytes)
    for directory in run.secrets:
        options = ("bind", "rprivate", "ro", "nosuid", "nodev", "noexec")
        yield _mount(directory.target, "bind", directory.source, *options)


def _system(run: RunSpec, deep: bool) -> Iterable[dict[str, Any]]:
    access = "rw" if run.privileged else "ro"
    kernel = ("nosuid", "noexec", "nodev", access)
    yield _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev")
    yield _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k")
    yield _mount(
        "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
    )
    if run.host_ipc:
        yield _bind("/dev/shm", "/dev/shm")
    else:
        size = f"size={run.shm_bytes}"
        yield _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", size)
    # Of the namespace it is mounted in: the machine's queues, where that is the machine's.
    yield _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    if run.network == "host":
        # Without a network namespace of its own, a container may not mount sysfs: it gets the machine's.
        below = ("rbind",) if run.privileged else _below(deep)
        yield _mount("/sys", "none", "/sys", *below, *kernel)
    else:
        yield _mount("/sys", "sysfs", "sysfs", *kernel)
    # Programs read here how much memory and how many processors they have.
    yield _mount("/sys/fs/cgroup", "cgroup", "cgroup", "relatime", *kernel)


def _below(deep: bool) -> tuple[str, ...]:
    """What a bind that is `ro` does with what is mounted below its source: `ro` alone is of the uppermost only, and
    whoever may write there writes on the machine. Where that is all that the machine can, the rest is not seen."""
    return ("rbind", "rro") if deep else ("bind",)


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _bind(source: str, place: str, *options: str) -> dict[str, Any]:
    return _mount(place, "bind", source, "rbind", "rprivate", *options)


def _tmpfs(place: str, size_bytes: int) -> dict[str, Any]:
    size = (f"size={size_bytes}",) if size_bytes else ()
    return _mount(place, "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", *size)

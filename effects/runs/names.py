"""How runs and writable layers are named, inside containerd and by whatever else a run has on the machine: everything
says which incarnation it belongs to."""

from collections.abc import Mapping

from effects.runs.protocol import RunSpec

NAME = "capsule.name"
UID = "capsule.uid"
REVISION = "capsule.revision"
RUN = "capsule.run"
STOP_SIGNAL = "capsule.stop-signal"
"""The number; runs of earlier releases have none and are asked with TERM."""

_NAME_BYTES = 40
"""containerd allows 76 bytes for an identifier; uid and run need the rest."""


def stem_of(name: str) -> str:
    """What a workload's identifiers begin with; long names may share it."""
    return name[:_NAME_BYTES].rstrip("-")


def container_id(name: str, uid: int, run: int) -> str:
    """A run's container, cgroup and logs. Unique through the uid, however long the name."""
    return f"{stem_of(name)}.{uid}.{run}"


def workload_of(cid: str) -> str:
    """What the identifiers of the workload begin with whose container or cgroup this is."""
    return cid.rpartition(".")[0].rpartition(".")[0]


def may_be_ours(cid: str) -> bool:
    """Whether a container's identifier is made as these are."""
    stem, uid, run = ("", "", *cid.rsplit(".", 2))[-3:]
    return bool(stem) and uid.isdecimal() and run.isdecimal()


def snapshot_key(name: str, uid: int, revision: int) -> str:
    """A revision's writable layer: it outlives restarts, and a changed spec begins with a fresh one."""
    return f"{stem_of(name)}.{uid}.{revision}"


def labels_of(run: RunSpec) -> dict[str, str]:
    """The labels by which a run is found again; a rendered spec is never compared."""
    return {NAME: run.name, UID: str(run.uid), REVISION: str(run.revision), RUN: str(run.run)}


def is_ours(labels: Mapping[str, str]) -> bool:
    """Whether a record carries all that names a run."""
    return all(labels.get(key, "").isdecimal() for key in (UID, REVISION, RUN)) and NAME in labels


def incarnation(name: str, uid: int) -> str:
    """containerd's filter of what belongs to one."""
    return f'labels."{NAME}"=={name},labels."{UID}"=={uid}'

"""Names that the shell may complete: what the machine has, and the command line has not yet; contexts are known here.

A machine that does not answer at once completes nothing, and says nothing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capsulectl.connection import Connection

COMPLETE_S = 0.5
"""How long a shell may be kept waiting for names."""

Names = list[tuple[str, str]]
"""Each with a word about it."""


def workload_names(context: Any) -> Names:
    """With their phases."""
    return _asked(context, _workloads)


def _workloads(connection: "Connection") -> Names:
    from capsule.v1 import workload_pb2
    from capsulectl.words import phase

    request = workload_pb2.WorkloadListRequest()
    found = connection.read(connection.workloads.List, request, timeout=COMPLETE_S).workloads
    return [(one.name, phase(one)) for one in found]


def volume_names(context: Any) -> Names:
    """With their phases."""
    return _asked(context, _volumes)


def _volumes(connection: "Connection") -> Names:
    from capsule.v1 import volume_pb2

    found = connection.read(connection.volumes.List, volume_pb2.VolumeListRequest(), timeout=COMPLETE_S).volumes
    return [(one.name, one.phase) for one in found]


def snapshot_names(context: Any) -> Names:
    """Of the volume that stands before, with how each was taken."""
    return _snapshots(context, context["name"].raw or "")


def _snapshots(context: Any, asked: str) -> Names:
    from capsule.v1 import volume_pb2

    volume = asked.removeprefix("volume/")

    def ask(connection: "Connection") -> Names:
        request = volume_pb2.SnapshotListRequest(volume=volume)
        found = connection.read(connection.snapshots.List, request, timeout=COMPLETE_S).snapshots
        return [(one.name, one.method) for one in found]

    return _asked(context, ask) if volume else []


def secret_names(context: Any) -> Names:
    """With their versions."""
    from capsule.v1 import secret_pb2

    def ask(connection: "Connection") -> Names:
        found = connection.read(connection.secrets.List, secret_pb2.SecretListRequest(), timeout=COMPLETE_S).secrets
        return [(one.name, f"version {one.version}") for one in found]

    return _asked(context, ask)


def object_names(context: Any) -> Names:
    """Workloads and volumes."""
    return _asked(context, lambda connection: [*_workloads(connection), *_volumes(connection)])


def full_names(context: Any) -> Names:
    """Workloads, and volumes as volume/NAME, where a name alone is a workload's."""

    def ask(connection: "Connection") -> Names:
        volumes = [(f"volume/{name}", phase) for name, phase in _volumes(connection)]
        return [*_workloads(connection), *volumes]

    return _asked(context, ask)


def copy_ends(context: Any) -> Names:
    """Workloads as NAME:, where a path in one is meant. What stands behind the colon is not known here."""
    if ":" in context.incomplete:
        return []
    return [(f"{name}:", phase) for name, phase in workload_names(context)]


def key_names(context: Any) -> Names:
    """By their ids' beginnings, and by whose they are where that is said of one alone."""
    from capsule.v1 import identity_pb2
    from capsulectl.adopt import ROLES

    def ask(connection: "Connection") -> Names:
        found = connection.read(connection.identity.KeyList, identity_pb2.KeyListRequest(), timeout=COMPLETE_S).keys
        owners = [one.name for one in found]
        named = [(one.name, ROLES.get(one.role, "")) for one in found if owners.count(one.name) == 1]
        return [*named, *((one.kid[:12], one.name) for one in found)]

    return _asked(context, ask)


def update_key_ids(context: Any) -> Names:
    """With whose they are."""
    from capsule.v1 import update_pb2

    def ask(connection: "Connection") -> Names:
        request = update_pb2.UpdateKeyListRequest()
        found = connection.read(connection.updates.KeyList, request, timeout=COMPLETE_S).keys
        return [(one.kid, one.name) for one in found]

    return _asked(context, ask)


def registry_hosts(context: Any) -> Names:
    """With who one is there."""
    from capsule.v1 import registry_pb2

    def ask(connection: "Connection") -> Names:
        request = registry_pb2.RegistryListRequest()
        found = connection.read(connection.registries.List, request, timeout=COMPLETE_S).registries
        return [(one.host, one.username) for one in found]

    return _asked(context, ask)


def image_names(context: Any) -> Names:
    """As they are shown, with their digests."""
    from capsule.v1 import image_pb2
    from capsulectl.words import short_image

    def ask(connection: "Connection") -> Names:
        found = connection.read(connection.images.List, image_pb2.ImageListRequest(), timeout=COMPLETE_S).images
        return [(short_image(one.name), one.index_digest[:19]) for one in found]

    return _asked(context, ask)


def update_numbers(context: Any) -> Names:
    """With the version that each was to bring."""
    from capsule.v1 import update_pb2

    def ask(connection: "Connection") -> Names:
        request = update_pb2.UpdateListRequest()
        found = connection.read(connection.updates.List, request, timeout=COMPLETE_S).updates
        return [(str(one.uid), one.version) for one in found]

    return _asked(context, ask)


def phase_names(context: object) -> Names:
    """As they may be asked for. No machine is asked."""
    from capsulectl.selecting import DETAILS, PHASES

    return [(word, "") for word in (*PHASES, *DETAILS)]


def event_types(context: object) -> Names:
    """Whole ones, and beginnings that stand for all of theirs. No machine is asked."""
    from journal.codec import reader_level

    known = sorted(reader_level())
    return [(word, "") for word in (*sorted({f"{tag.partition('.')[0]}." for tag in known}), *known)]


def rollback_ends(context: Any) -> Names:
    """Where a rollback of what stands before may go by a word: revisions of a workload, snapshots of a volume."""
    kind, _, name = (context["name"].raw or "").rpartition("/")
    if kind == "volume":
        return _snapshots(context, name)
    words = ("previous", "the revision before"), ("healthy", "the newest that did well")
    return list(words) if name else []


def context_names(context: object) -> Names:
    """With their addresses. No machine is asked."""
    from capsulectl.contexts import load_local, load_shared
    from capsulectl.errors import Failure

    try:
        local, shared = load_local()["contexts"], load_shared()["contexts"]
    except Failure:
        return []
    found = {name: str(one.get("addr", "")) for name, one in shared.items()}
    return sorted({**found, **{name: f"unix:{one.get('socket', '')}" for name, one in local.items()}}.items())


def _asked(context: Any, ask: "Callable[[Connection], Names]") -> Names:
    from capsulectl.connection import Connection
    from capsulectl.errors import Failure

    try:
        capsule = context.get("--capsule")
        connection = Connection((capsule.raw or "") if capsule is not None else "")
        connection.heads.rest()  # a shell that completes a name shows nothing else
        found = ask(connection)
    except Failure:
        return []
    typed = {token.value for token in context.argument.tokens}
    return [one for one in found if one[0] not in typed]

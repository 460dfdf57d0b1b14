"""Names that the shell may complete: what the machine has, and the command line has not yet.

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
    from capsule.v1 import workload_pb2
    from capsulectl.words import phase

    def ask(connection: "Connection") -> Names:
        request = workload_pb2.WorkloadListRequest()
        found = connection.read(connection.workloads.List, request, timeout=COMPLETE_S).workloads
        return [(one.name, phase(one)) for one in found]

    return _asked(context, ask)


def volume_names(context: Any) -> Names:
    """With their phases."""
    from capsule.v1 import volume_pb2

    def ask(connection: "Connection") -> Names:
        found = connection.read(connection.volumes.List, volume_pb2.VolumeListRequest(), timeout=COMPLETE_S).volumes
        return [(one.name, one.phase) for one in found]

    return _asked(context, ask)


def secret_names(context: Any) -> Names:
    """With their versions."""
    from capsule.v1 import secret_pb2

    def ask(connection: "Connection") -> Names:
        found = connection.read(connection.secrets.List, secret_pb2.SecretListRequest(), timeout=COMPLETE_S).secrets
        return [(one.name, f"version {one.version}") for one in found]

    return _asked(context, ask)


def object_names(context: Any) -> Names:
    """Workloads and volumes."""
    return [*workload_names(context), *volume_names(context)]


def image_names(context: Any) -> Names:
    """As they are shown, with their digests."""
    from capsule.v1 import image_pb2
    from capsulectl.words import short_image

    def ask(connection: "Connection") -> Names:
        found = connection.read(connection.images.List, image_pb2.ImageListRequest(), timeout=COMPLETE_S).images
        return [(short_image(one.name), one.digest[:19]) for one in found]

    return _asked(context, ask)


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

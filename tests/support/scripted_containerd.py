"""The containers' driver on a containerd that answers what a test says: nothing runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from capsuled.abilities import container_host
from effects.containerd.config import paths_under
from effects.containers.bundles import Bundles
from effects.containers.containerd_driver import ContainerdDriver
from effects.host_paths import HostPaths


def driver_on(
    directory: Path,
    containers: SimpleNamespace,
    tasks: SimpleNamespace,
    paths: HostPaths | None = None,
    events: SimpleNamespace | None = None,
) -> ContainerdDriver:
    """`containers`, `tasks` and `events` are containerd's services, `directory` has what the driver writes."""

    async def ready() -> None:
        """It answers."""

    return ContainerdDriver(
        cast(Any, SimpleNamespace(metadata=(), containers=containers, tasks=tasks, events=events, ready=ready)),
        cast(Any, None),
        container_host("/none"),
        directory,
        directory,
        directory / "runc",
        Bundles(paths_under(directory, directory)),
        paths=paths,
    )

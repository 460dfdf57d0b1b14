"""The drivers of one machine, wired: all through which the daemon acts on the outside world."""

import msgspec

from capsuled.layout import Layout
from capsuled.machines import Machines, make_machines
from capsuled.processes import beside, outcome
from effects.containerd.config import paths_under
from effects.containerd.connection import Connection
from effects.containers.bundles import Bundles
from effects.containers.containerd_copier import ContainerdCopier
from effects.containers.containerd_driver import ContainerdDriver
from effects.containers.containerd_executor import ContainerdExecutor
from effects.containers.spec import Host
from effects.host_paths import HostPaths
from effects.images.containerd_store import ContainerdImages
from effects.images.leases import Leases
from effects.images.registry_http import HttpRegistry
from effects.images.rootfs import RootFsSource
from effects.microvms.images import PayloadImages
from effects.microvms.qemu_driver import UNMOUNT_S
from effects.network.linux_driver import LinuxNetwork
from effects.payloads.file_disks import FileDisks
from effects.runs.by_kind import CopierByKind, ExecutorByKind, RunDrivers
from effects.runs.copy_holds import CopyHolds
from effects.secrets.memory_driver import MemorySecretFiles
from effects.volumes.sparse_driver import SparseVolumes
from effects.volumes.thin_driver import ThinVolumes


class Drivers(msgspec.Struct):
    """See above."""

    connection: Connection
    runs: RunDrivers
    executor: ExecutorByKind
    copier: CopierByKind
    images: ContainerdImages
    network: LinuxNetwork
    volumes: SparseVolumes | ThinVolumes
    secrets: MemorySecretFiles
    payloads: FileDisks
    machines: Machines
    paths: HostPaths


def make_drivers(
    layout: Layout,
    host: Host,
    network: LinuxNetwork,
    volumes: SparseVolumes | ThinVolumes,
    registry: HttpRegistry,
    boot: str,
) -> Drivers:
    """Nothing is touched before one of them is asked for something."""
    paths = paths_under(layout.containerd, layout.run)
    connection = Connection(paths.address)
    images = ContainerdImages(connection, registry, paths.root)
    bundles, holds, host_paths = Bundles(paths), CopyHolds(), HostPaths()
    containers = ContainerdDriver(
        connection,
        images.unpacker,
        host,
        layout.logs,
        layout.containers,
        layout.runc,
        bundles,
        holds,
        host_paths,
        network.renew,
    )
    executor = ContainerdExecutor(connection, layout.execs, bundles)
    copier = ContainerdCopier(connection, beside, holds, layout.runc, layout.copies)
    secrets = MemorySecretFiles(layout.memory)
    payloads, machines = microvm_drivers(
        layout, connection, images.unpacker, images.leases, host.cgroup_parent, network.subnet, boot, paths=host_paths
    )
    return Drivers(
        connection,
        {"container": containers, "microvm": machines.driver},
        ExecutorByKind({"container": executor, "microvm": machines.executor}),
        CopierByKind({"container": copier, "microvm": machines.copier}),
        images,
        network,
        volumes,
        secrets,
        payloads,
        machines,
        host_paths,
    )


def microvm_drivers(
    layout: Layout,
    connection: Connection,
    unpacker: RootFsSource,
    leases: Leases,
    cgroup_parent: str,
    subnet: str,
    boot: str,
    unmount_s: float = UNMOUNT_S,
    paths: HostPaths | None = None,
) -> tuple[FileDisks, Machines]:
    """Those of microVMs, and the disks of their images."""
    payloads = FileDisks(connection, unpacker, leases, outcome, layout.payloads, layout.payload)
    images = PayloadImages(connection, unpacker, leases, payloads)
    return payloads, make_machines(layout, images, cgroup_parent, subnet, boot, unmount_s, paths)

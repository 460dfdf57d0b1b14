"""What the machine under the daemon is and has, read from the kernel once for each question."""

import os
import platform
import shutil
import socket
from pathlib import Path

import msgspec

from capsuled.identity import short_id_of
from capsuled.layout import Layout
from capsuled.processes import outcome, run
from capsuled.settings import Settings
from effects.microvms.confinement import user_of
from effects.network.linux_driver import LinuxNetwork
from effects.volumes.protocol import VolumePorter
from effects.volumes.sparse_driver import SparseVolumes
from effects.volumes.sparse_porter import SparsePorter
from effects.volumes.thin_driver import ThinVolumes
from effects.volumes.thin_group import ThinGroup
from effects.volumes.thin_porter import ThinPorter

_SECTOR_BYTES = 512
"""sysfs counts in these, whatever the disk's own are."""

_PROGRAMS = {"network.bridge": "nft", "volume": "mkfs.ext4"}
"""What each capability needs to be installed."""


class Facts(msgspec.Struct, frozen=True):
    """The machine in numbers."""

    hostname: str
    kernel_release: str
    kernel_version: str
    architecture: str
    uptime_s: int
    memory_total_bytes: int
    memory_available_bytes: int
    cpu_cores: int
    cpu_model: str
    state_total_bytes: int
    state_used_bytes: int
    boot_disk: str
    disk_total_bytes: int
    load_1: float


def facts(state: Path) -> Facts:
    """Now. `state` is the directory whose file system is meant."""
    uname = platform.uname()
    found = memory()
    disk = os.statvfs(state)
    boot_disk = root_disk()
    return Facts(
        hostname=socket.gethostname(),
        kernel_release=uname.release,
        kernel_version=uname.version,
        architecture=uname.machine,
        uptime_s=int(float(Path("/proc/uptime").read_text().split()[0])),
        memory_total_bytes=found["MemTotal"],
        memory_available_bytes=min(found["MemAvailable"], found["MemTotal"]),
        cpu_cores=os.cpu_count() or 1,
        cpu_model=_cpu_model(),
        state_total_bytes=disk.f_blocks * disk.f_frsize,
        state_used_bytes=(disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        boot_disk=f"/dev/{boot_disk.name}" if boot_disk is not None else "",
        disk_total_bytes=0 if boot_disk is None else int((boot_disk / "size").read_text()) * _SECTOR_BYTES,
        load_1=os.getloadavg()[0],
    )


def root_disk(mounts: Path = Path("/proc/self/mountinfo"), sys: Path = Path("/sys")) -> Path | None:
    """The whole disk that the root file system is on, in sysfs; None where it is on none, or on several."""
    lines = (line.split() for line in mounts.read_text().splitlines())
    number = next((words[2] for words in lines if words[4] == "/"), "")
    device = (sys / "dev" / "block" / number).resolve()
    while (device / "slaves").is_dir() and (below := sorted((device / "slaves").iterdir())):
        if len(below) > 1:
            return None
        device = below[0].resolve()  # what is mapped lies on another
    if (device / "partition").exists():
        device = device.parent
    return device if number and (device / "size").is_file() else None


def memory() -> dict[str, int]:
    """What the kernel says of its memory, in bytes, by its own names: MemTotal, MemAvailable and more."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {fields[0].rstrip(":"): int(fields[1]) * 1024 for fields in lines}


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor()


def linux_network(layout: Layout, settings: Settings, capsule_id: str) -> LinuxNetwork:
    """The network's driver; nothing is touched before it is asked for something."""
    bridge, subnet, file = settings.bridge, settings.subnet, settings.subnet_file
    return LinuxNetwork(run, layout.namespaces, bridge, subnet, capsule_id, user_of, file)


def volume_storage(layout: Layout, settings: Settings) -> tuple[SparseVolumes | ThinVolumes, VolumePorter]:
    """The driver of volumes, and what carries their content: on the thin pool, if there is one, else sparse files."""
    if not settings.pool:
        return SparseVolumes(outcome, layout.volumes, layout.mounts), SparsePorter(outcome, layout.volumes)
    name, _, pool = settings.pool.partition("/")
    group = ThinGroup(outcome, name, pool)
    return ThinVolumes(outcome, group, layout.mounts), ThinPorter(outcome, group)


def capabilities() -> frozenset[str]:
    """What this machine's drivers can honour beyond plain containers; admission refuses the rest by name."""
    return frozenset(name for name, program in _PROGRAMS.items() if shutil.which(program))


def allocated_bytes(directory: Path) -> int:
    """What the files in it take on the disk. One that is not there takes nothing."""
    try:
        return sum(entry.stat().st_blocks * 512 for entry in os.scandir(directory) if entry.is_file())
    except OSError:
        return 0


def mounted_below(directory: Path) -> tuple[str, ...]:
    """Where file systems are mounted below `directory`, each place once."""
    below = f"{directory}/"
    with open("/proc/self/mountinfo") as file:
        return tuple(sorted({place for line in file if (place := line.split()[4]).startswith(below)}))


def cgroup_parent(capsule_id: str) -> str:
    """Below it live this capsule's containers, and nothing else."""
    return f"/{short_id_of(capsule_id)}-{capsule_id[-6:]}"

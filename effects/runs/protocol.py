"""What a driver of runs must do, whatever they run in: the contract that the real ones and their twin all keep.

Every method may be called again after any crash: it looks, compares, acts, and reports. Failures are `DriverError`s.
"""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from effects.secrets.protocol import SecretDirectory
from journal.specs import HostBind, Kind, MicroVM, Resources, Seccomp, Tmpfs, Ulimit
from projections.observations import ObservedRun


class MountedVolume(msgspec.Struct, frozen=True):
    """A volume to be at `target` in the run. `source` is the directory where it is mounted on the machine, for a
    container, or the file or device that has its file system, for a microVM."""

    source: str
    target: str
    read_only: bool = False


class RunSpec(msgspec.Struct, frozen=True):
    """One run of a workload, complete: nothing in it is looked up later. `env` holds values in clear; never log it.

    On the network `bridge`: `namespace` is the path of the network namespace to join, or of a microVM the name of its
    TAP; `address` is the workload's own there, `nameserver` the one to ask for names.
    """

    name: str
    uid: int
    revision: int
    run: int
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    user: str = ""
    network: Literal["host", "bridge", "none"] = "none"
    namespace: str = ""
    address: str = ""
    nameserver: str = ""
    volumes: tuple[MountedVolume, ...] = ()
    secrets: tuple[SecretDirectory, ...] = ()
    privileged: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    host_mount: bool = False
    host_bind_paths: tuple[str, ...] = ()
    host_binds: tuple[HostBind, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    shm_bytes: int = 67_108_864
    hostname: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    resources: Resources = Resources()
    ulimits: tuple[Ulimit, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only_root: bool = False
    new_privileges: bool = False
    seccomp: Seccomp = "default"
    vm: MicroVM | None = None

    @property
    def kind(self) -> Kind:
        """Whose driver runs it."""
        return "container" if self.vm is None else "microvm"


class Resync(msgspec.Struct, frozen=True):
    """In a stream of exits: reports may have been missed before this point, so look at everything again."""


class RunDriver(Protocol):
    """Runs of one kind."""

    async def observe(self) -> tuple[ObservedRun, ...]:
        """Every run the runtime holds, leftovers of earlier incarnations included."""
        ...

    async def ensure_running(self, run: RunSpec) -> ObservedRun:
        """The run is alive, or has been and ended meanwhile. An existing process is adopted, half-made things are
        completed or made anew; a process is never started twice for one run number."""
        ...

    async def stop(self, name: str, uid: int, run: int, grace_ms: int) -> ObservedRun | None:
        """The run has ended: asked first, killed after the grace. None if the runtime knows no such run.
        The exit stays readable until `remove_run`."""
        ...

    async def remove_run(self, name: str, uid: int, run: int) -> None:
        """The runtime holds nothing of the run any more. The writable layer stays."""
        ...

    async def remove_workload(self, name: str, uid: int) -> None:
        """Nothing of the incarnation is left: runs, writable layers, logs."""
        ...

    def exits(self) -> AsyncIterator[ObservedRun | Resync]:
        """Ends of runs as they happen, and a Resync whenever some may have been missed (first of all)."""
        ...

"""What an operator may declare, in the form that stands in the journal: resolved, defaulted and sealed.

A spec in an event needs nothing else to be understood later: no default that a release could change, no tag that
could move, no secret. New fields come with a default, so that old entries keep their meaning.
"""

from typing import Literal

import msgspec

Kind = Literal["container", "microvm"]
Network = Literal["none", "host", "bridge"]
RestartMode = Literal["always", "on-failure", "never"]
Role = Literal["admin", "operator", "reader"]
Health = Literal["healthy", "unhealthy"]
Probe = Literal["exec", "http", "tcp"]
Seccomp = Literal["default", "unconfined"]
Backend = Literal["qemu"]
"""The program that is a microVM's machine."""
Fault = Literal["panic", "killed", "starved", "crashed", "silent", "agent"]
"""What ended a microVM's payload although it did not end: its kernel gave up (`panic`), the monitor that is its machine
was killed, by the machine's kernel for want of memory (`starved`), or ended with an error of its own (`crashed`), its
agent did not answer any more (`silent`), or the agent itself failed (`agent`)."""
DriftPolicy = Literal["repair", "report"]
"""What becomes of another hand's change: it is mended, or only told of until an operator says more."""


UpdateKind = Literal["push", "rollback"]
"""Where the other slot's content comes from: a bundle, or it has been there since an earlier update."""


class SealedEnv(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One environment variable; its value is in the sealed store under `sealed`, a keyed hash of it."""

    name: str
    sealed: str
    size_bytes: int = 0


class SecretEnv(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One environment variable with the value that a secret has when the run begins."""

    name: str
    secret: str


class SecretFile(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A secret's value as a file in memory; it follows the secret while the run goes on."""

    secret: str
    path: str
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class PlacedSecret(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A secret's file as it is, or shall be, in memory: with this version's value, which is sealed under `sealed`."""

    secret: str
    version: int
    sealed: str
    path: str
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class PortMapping(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A host port that leads to a workload's port. `host_address`: on this address of the machine only; empty: on all.

    In a declaration a host port of 0 leaves the choice to admission; in an event it is never 0.
    """

    container_port: int
    host_port: int
    protocol: str = "tcp"
    host_address: str = ""


class VolumeMount(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A volume at a path inside the workload. `volume_uid` pins the incarnation that had the name at the apply."""

    volume_name: str
    mount_path: str
    read_only: bool = False
    volume_uid: int = 0


class ImagePin(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an image string meant when it was applied: the index (or manifest) and this machine's manifest in it."""

    ref: str
    index_digest: str
    platform_digest: str


class RestartPolicy(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """When a run that ended is followed by another. The constants stand in the event, never in the fold.

    The back-off doubles from first to cap. `max_attempts` is how many restarts may follow one another before the
    workload is given up (0: no limit); a run that lasted for `stable_ms` begins the count anew.
    """

    mode: RestartMode = "always"
    backoff_first_ms: int = 1_000
    backoff_cap_ms: int = 300_000
    stable_ms: int = 600_000
    max_attempts: int = 0


class Resources(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a container may take of the machine. 0 is no limit of its own.

    `cpu_millis`: thousandths of a processor; `cpu_shares`: weight against others when all want more than there is
    (1024 is what everybody has); `swap_bytes`: how much may be swapped out beyond `memory_bytes`.
    """

    cpu_millis: int = 0
    cpu_shares: int = 0
    memory_bytes: int = 0
    swap_bytes: int = 0
    pids: int = 4_096


class Tmpfs(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A file system in memory, empty at the beginning of each run. Size 0: up to half of the machine's memory."""

    mount_path: str
    size_bytes: int = 0


class HostBind(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A path of the machine at a path inside."""

    source: str
    mount_path: str
    read_only: bool = False


class Ulimit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One of the kernel's limits per process, by its name in lower case without RLIMIT_; -1 is unlimited."""

    name: str
    soft: int
    hard: int


class HealthCheck(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How it is known whether a run does its work. Times in milliseconds.

    `exec`: `command` inside ends with 0; `http`: a GET of `path` at `port` is answered with 200 to 399; `tcp`: `port`
    takes a connection. It is unhealthy after `retries` failures in a row. Before its first success, a failure within
    `start_period_ms` of its start does not count.
    """

    probe: Probe
    command: tuple[str, ...] = ()
    port: int = 0
    path: str = "/"
    interval_ms: int = 10_000
    timeout_ms: int = 5_000
    retries: int = 3
    start_period_ms: int = 30_000


class MicroVM(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The machine that a microVM has to itself. With `kernel_path` and `rootfs_path`, which go together, it boots what
    the operator put there, and that kernel's own first process is all that runs; `cmdline_extra` goes to the kernel."""

    vcpus: int = 1
    memory_mib: int = 256
    backend: Backend = "qemu"
    kernel_path: str = ""
    rootfs_path: str = ""
    cmdline_extra: str = ""


LOG_MAX_BYTES = 64 << 20
"""What a workload's logs may take, all its runs together, when its manifest does not say."""


class ContainerSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A workload as it is to run: a container, or with `vm` a microVM. Times in milliseconds.

    Empty texts mean: the image's (`working_dir`, `user`, `stop_signal`) or the workload's name (`hostname`).
    Capabilities stand without CAP_, and ALL for every one; `extra_hosts` are (name, address). The image is one without
    a reference where a microVM boots a kernel of its own.
    """

    image: ImagePin
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[SealedEnv, ...] = ()
    working_dir: str = ""
    user: str = ""
    mounts: tuple[VolumeMount, ...] = ()
    network: Network = "none"
    ports: tuple[PortMapping, ...] = ()
    privileged: bool = False
    host_pid: bool = False
    host_mount: bool = False
    host_ipc: bool = False
    host_bind_paths: tuple[str, ...] = ()
    stop_grace_ms: int = 10_000
    restart: RestartPolicy = RestartPolicy()
    log_max_bytes: int = LOG_MAX_BYTES
    stop_signal: str = ""
    resources: Resources = Resources()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only_root: bool = False
    new_privileges: bool = False
    seccomp: Seccomp = "default"
    tmpfs: tuple[Tmpfs, ...] = ()
    shm_bytes: int = 67_108_864
    hostname: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    host_binds: tuple[HostBind, ...] = ()
    health: HealthCheck | None = None
    secret_env: tuple[SecretEnv, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    vm: MicroVM | None = None

    @property
    def kind(self) -> Kind:
        """What it runs as."""
        return "container" if self.vm is None else "microvm"

    @property
    def has_image(self) -> bool:
        """Whether it runs an image's process, and not a kernel of the operator's own."""
        return self.vm is None or not (self.vm.kernel_path or self.vm.rootfs_path)

    @property
    def source(self) -> str:
        """What it is made from: the image's reference, or the path of its own kernel."""
        return self.image.ref if self.vm is None or self.has_image else self.vm.kernel_path

"""What a payload sees beside its image, as a container would: the mounts, in the order in which they are made. Pure."""

from guest.kernel import NODEV, NOEXEC, NOSUID, RDONLY, RELATIME, STRICTATIME
from sandbox.places import covered, depth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guest.run import Run

FILES, SECRETS, VOLUMES = "/run/files", "/run/secrets", "/run/volumes"
"""Where the agent has what is the payload's, each under a name of its own."""
SMALL_BYTES = 16 << 20
"""All that a run may have of secrets, and as much of files of its own: they lie in the guest's memory."""
_SCRATCH = ("/run", "/tmp", "/var/tmp")
"""Writable also where the root file system is not; programs do not expect otherwise."""
TREE = "tree"
"""The kind of what the agent has mounted, or made, at `source`."""


class Mount:
    """One of them. `file`: its place is a file and not a directory."""

    def __init__(
        self, kind: str, source: str, target: str, flags: int = 0, options: str = "", file: bool = False
    ) -> None:
        self.kind = kind
        self.source = source
        self.target = target
        self.flags = flags
        self.options = options
        self.file = file


def mounts(run: "Run") -> list[Mount]:
    """Those of a run."""
    declared = sorted(_declared(run), key=lambda one: depth(one.target))
    places = [one.target for one in declared]
    found = [one for one in _system(run) if not covered(one.target, places)]
    if run.read_only_root:
        found += [_tmpfs(place, 0) for place in _SCRATCH if not covered(place, places)]
    for number, path in enumerate(run.files):
        if not covered(path, places):
            found.append(Mount(TREE, f"{FILES}/{number}", path, file=True))
    return found + declared


def secret_directories(run: "Run") -> list[str]:
    """The directories inside that hold secrets; the agent has each under its number here."""
    found: list[str] = []
    for secret in run.secrets:
        directory = directory_of(secret["path"])
        if directory not in found:
            found.append(directory)
    return found


def directory_of(path: str) -> str:
    """Where a file of a run is, inside."""
    return path.rpartition("/")[0] or "/"


def _declared(run: "Run") -> list[Mount]:
    # A change of flags is of all of them: what is read only there has no setuid and no devices all the same.
    volumes = [
        Mount(TREE, f"{VOLUMES}/{one['serial']}", one["path"], NOSUID | NODEV | (RDONLY if one["read_only"] else 0))
        for one in run.mounts
    ]
    scratch = [_tmpfs(one["path"], one["size_bytes"]) for one in run.tmpfs]
    secrets = [
        Mount(TREE, f"{SECRETS}/{number}", path, RDONLY | NOSUID | NODEV | NOEXEC)
        for number, path in enumerate(secret_directories(run))
    ]
    return [*volumes, *scratch, *secrets]


def _system(run: "Run") -> list[Mount]:
    kernels = NOSUID | NODEV | NOEXEC
    terminals = "newinstance,ptmxmode=0666,mode=0620,gid=5"
    return [
        Mount("proc", "proc", "/proc", kernels),
        Mount("tmpfs", "tmpfs", "/dev", NOSUID | STRICTATIME, "mode=755,size=65536k"),
        Mount("devpts", "devpts", "/dev/pts", NOSUID | NOEXEC, terminals),
        Mount("tmpfs", "shm", "/dev/shm", kernels, f"mode=1777,size={run.shm_bytes}"),
        Mount("mqueue", "mqueue", "/dev/mqueue", kernels),
        Mount("sysfs", "sysfs", "/sys", kernels | RDONLY),
        Mount("cgroup2", "cgroup", "/sys/fs/cgroup", kernels | RDONLY | RELATIME),
    ]


def _tmpfs(place: str, size_bytes: int) -> Mount:
    size = f",size={size_bytes}" if size_bytes else ""
    return Mount("tmpfs", "tmpfs", place, NOSUID | NODEV, f"mode=1777{size}")

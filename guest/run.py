"""What a run is, as its disk says: one JSON object, written by the daemon (effects/microvms), read once by PID 1.

It stands in memory on both sides, for it has the values of secrets. Every field is there; what is behind the object, up
to the end of the sector, is blank.

    name, uid, run       whose it is
    argv, env, cwd       the command, complete; env as NAME=value
    user                 {uid, gid, groups}, as numbers
    hostname
    files                {path: text}: the run's own, over the image's
    network              {address, prefix, gateway} of eth0, or null
    mounts               [{serial, path, read_only}]: volumes, by their disks' serials
    tmpfs                [{path, size_bytes}], 0: half of the memory
    shm_bytes
    rlimits              {name: [soft, hard]}, -1: none; the names are RLIMITS'
    capabilities         numbers of linux/capability.h that anything in the run may have
    raised               those of them that one who is not root begins with
    no_new_privileges, read_only_root
    masked, read_only_paths    of /proc and /sys
    secrets              [{path, mode, uid, gid, base64}]
    stop_signal          a number
    pids                 processes and threads, 0: no limit but what the memory carries (cgroups.py)
    memory_bytes         what the payload may use, 0: what the agent leaves
    time_ns              the wall clock when this was written, before the machine began
"""

import _json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RLIMITS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}
"""By the kernel's numbers, on x86 and ARM."""
_PIECE = 1 << 20
_BLANK = "\0 \n"


class Scanning:
    """What the standard library's scanner of JSON, the part in C, wants to be told. The rest of `json` is slow to
    import."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: "dict[str, str]" = {}


_scan = _json.make_scanner(Scanning)  # type: ignore[arg-type]  # it only looks at these


def parsed(text: str) -> "Any":
    """The value that a text begins with. Raises ValueError for a text that does not begin with one, or goes on."""
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no JSON at {stop.value}") from None
    if text[end:].strip(_BLANK):
        raise ValueError(f"more than one value: something else follows at {end}")
    return value


class User:
    """Who, as numbers."""

    def __init__(self, uid: int, gid: int, groups: "tuple[int, ...]") -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups


class Run:
    """See above."""

    def __init__(self, said: "dict[str, Any]") -> None:
        """Raises KeyError and TypeError for what is not a run."""
        self.name: str = said["name"]
        self.uid: int = said["uid"]
        self.run: int = said["run"]
        self.argv: list[str] = said["argv"]
        self.env: list[str] = said["env"]
        self.cwd: str = said["cwd"]
        self.user = User(said["user"]["uid"], said["user"]["gid"], tuple(said["user"]["groups"]))
        self.hostname: str = said["hostname"]
        self.files: dict[str, str] = said["files"]
        self.network: dict[str, Any] | None = said["network"]
        self.mounts: list[dict[str, Any]] = said["mounts"]
        self.tmpfs: list[dict[str, Any]] = said["tmpfs"]
        self.shm_bytes: int = said["shm_bytes"]
        self.rlimits: dict[str, list[int]] = said["rlimits"]
        self.capabilities = frozenset(said["capabilities"])
        self.raised = frozenset(said["raised"]) & self.capabilities
        self.no_new_privileges: bool = said["no_new_privileges"]
        self.read_only_root: bool = said["read_only_root"]
        self.masked: list[str] = said["masked"]
        self.read_only_paths: list[str] = said["read_only_paths"]
        self.secrets: list[dict[str, Any]] = said["secrets"]
        self.stop_signal: int = said["stop_signal"]
        self.pids: int = said["pids"]
        self.memory_bytes: int = said["memory_bytes"]
        self.time_ns: int = said["time_ns"]


def read(path: str) -> Run:
    """The run of a disk. Raises OSError, ValueError, KeyError, TypeError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, _PIECE):
            parts.append(part)
    finally:
        os.close(fd)
    return Run(parsed(b"".join(parts).rstrip(b"\0").decode()))

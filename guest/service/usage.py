"""What the payload uses, as the guest's kernel counts it."""

import os

from capsule.guest.v1 import guest_pb2 as pb
from guest import cgroups
from guest.boot import LAYER
from guest.devices import text
from guest.mounts import VOLUMES

_WHOLE = 1 << 20


def usage(volumes: dict[str, str]) -> pb.StatsResponse:
    """A sample; `volumes` are serials by paths inside. Raises OSError."""
    memory = _fields("memory.stat")
    disk = _sums("io.stat")
    layer = os.statvfs(LAYER)
    current = _number("memory.current")
    return pb.StatsResponse(
        cpu_ns=_fields("cpu.stat").get("usage_usec", 0) * 1_000,
        memory_working_set_bytes=max(0, current - memory.get("inactive_file", 0)),
        memory_anonymous_bytes=memory.get("anon", 0),
        memory_limit_bytes=_number("memory.max"),
        pids=_number("pids.current"),
        pids_limit=_number("pids.max"),
        read_bytes=disk.get("rbytes", 0),
        written_bytes=disk.get("wbytes", 0),
        reads=disk.get("rios", 0),
        writes=disk.get("wios", 0),
        layer_bytes=(layer.f_blocks - layer.f_bfree) * layer.f_frsize,
        agent_memory_bytes=_resident(1) + _resident(os.getpid()),
        volumes=[_fill(path, serial) for path, serial in sorted(volumes.items())],
    )


def _fill(path: str, serial: str) -> pb.VolumeFill:
    found = os.statvfs(f"{VOLUMES}/{serial}")
    blocks, free = found.f_blocks * found.f_frsize, found.f_bfree * found.f_frsize
    return pb.VolumeFill(path=path, total_bytes=blocks, used_bytes=blocks - free)


def _content(name: str) -> str:
    with open(f"{cgroups.PAYLOAD}/{name}") as file:
        return file.read(_WHOLE)


def _number(name: str) -> int:
    """0 for `max`, which is no limit."""
    found = text(f"{cgroups.PAYLOAD}/{name}")
    return int(found) if found.isdecimal() else 0


def _fields(name: str) -> dict[str, int]:
    """A name and a number in each line."""
    return {words[0]: int(words[1]) for line in _content(name).splitlines() if len(words := line.split()) == 2}


def _sums(name: str) -> dict[str, int]:
    """`254:0 rbytes=4096 …`, a line for each device."""
    found: dict[str, int] = {}
    for word in _content(name).split():
        key, _, value = word.partition("=")
        if value.isdecimal():
            found[key] = found.get(key, 0) + int(value)
    return found


def _resident(pid: int) -> int:
    """What a process has of the memory for itself: of files, others have the same pages."""
    words = text(f"/proc/{pid}/statm").split()
    return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE") if len(words) > 2 else 0

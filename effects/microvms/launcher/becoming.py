"""`-c "import sys; sys.path.insert(0, HOME); from effects.microvms.launcher.becoming import main; main()"`: from root
to a confined monitor, in this order:

1. the order is read from standard input, one line; the cgroups are joined;
2. a sibling begins in namespaces of its own: its number is told on standard output, and this process ends;
3. the sibling makes itself a root that has nothing but the monitor's own files, and limits;
4. it waits for the second line on standard input: whoever ordered it has written down who it is. Without that it ends,
   as it does when the daemon dies before;
5. it becomes a user of its own without capabilities, and then the monitor: one that outlives the daemon, or, where it
   is only tried whether it would run, one that dies with it.

Standard output ends when the monitor runs; what could not be done is told on it, as one more line.
"""

import json
import os
import resource
import select
import stat
from typing import Any, NoReturn

from effects.microvms.launcher import kernel

_ROOT_BYTES = 1 << 20
"""For directories and the places of bound files; the files themselves take nothing of it."""
_KVM = os.makedev(10, 232)
_STDIN, _STDOUT, _STDERR = 0, 1, 2


def main() -> NoReturn:
    """See above."""
    doing = "the order cannot be read"
    try:
        order = json.loads(_line())
        doing = "the cgroup cannot be joined"
        for group in order["groups"]:
            _write(group, "0")
        _write("/proc/self/oom_score_adj", "0")
        doing = "no namespaces can be made"
        number = kernel.sibling()
        if number:
            _tell({"pid": number})
            os._exit(0)
        _become(order)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _tell({"error": f"{doing}: {error.strerror}{where}", "errno": error.errno or 0})
    except Exception as error:
        _tell({"error": f"{doing}: {error!r}", "errno": 0})
    os._exit(1)


def _become(order: dict[str, Any]) -> None:
    kernel.die_with_parent()
    kernel.call_yourself(b"microvm")
    os.setsid()
    kernel.keep_mounts_to_yourself()
    _make_root(order["root"], order["files"], order["user"] if order["kvm"] else None)
    for number, limit in order["limits"]:
        resource.setrlimit(number, (limit, limit))
    if not _line():
        os._exit(0)  # nobody remembers us
    report = os.dup(_STDOUT)
    null = os.open("/", os.O_PATH | os.O_CLOEXEC)  # there is no /dev/null here; what reads it is told that it cannot
    os.dup2(null, _STDIN)
    for number in (_STDOUT, _STDERR):
        os.dup2(order["log"], number)
    kernel.become(order["user"])
    if order["dies_with_us"]:
        kernel.die_with_parent()
        if _nobody_reads(report):
            os._exit(0)  # it died before the kernel knew that we die with it
    try:
        os.execve(order["argv"][0], order["argv"], {})
    except OSError as error:
        os.dup2(report, _STDOUT)
        raise OSError(error.errno, f"{order['argv'][0]} cannot be executed: {error.strerror}") from error


def _make_root(root: str, files: list[list[str]], kvm_of: int | None) -> None:
    kernel.mount_memory(root, _ROOT_BYTES)
    for source, place in files:
        target = root + place
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        kernel.bind_read_only(source, target)
    if kvm_of is not None:
        device = f"{root}/dev/kvm"
        os.makedirs(os.path.dirname(device), mode=0o755, exist_ok=True)
        os.mknod(device, stat.S_IFCHR | 0o600, _KVM)
        os.chown(device, kvm_of, kvm_of)
    kernel.make_read_only(root)
    kernel.make_root(root)


def _line() -> bytes:
    """Byte for byte where it must be: the second line is the sibling's."""
    found = bytearray()
    while (one := os.read(_STDIN, 1)) not in (b"", b"\n"):
        found += one
    return bytes(found)


def _nobody_reads(pipe: int) -> bool:
    watch = select.poll()
    watch.register(pipe, 0)
    return any(event & select.POLLERR for _, event in watch.poll(0))


def _tell(answer: dict[str, Any]) -> None:
    try:
        os.write(_STDOUT, json.dumps(answer).encode() + b"\n")
    except BrokenPipeError:
        pass  # the daemon has died, and what it ordered ends by itself


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)

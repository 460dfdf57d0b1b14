"""Processes beside the payload: of an exec, in its namespaces and with its rights; and of a copy, which enters its file
system by itself and has the agent's rights until then. PID 1 forks them, for nobody else here has one thread only."""

import _socket
import fcntl
import os
import struct
import sys

from guest import becoming, cgroups, kernel, payload, users
from guest.run import Run, User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SURROUNDINGS = kernel.NEWNS | kernel.NEWUTS | kernel.NEWIPC | kernel.NEWCGROUP
_UNLOCK, _NUMBER, _WINDOW, _CONTROL = 0x4004_5431, 0x8004_5430, 0x5414, 0x540E
_ENDED = b"NOT_RUNNING\0the microVM's payload has just ended"
LIBRARY = "/run/service/lib"
FOUND = f"import encodings, sys; p = {LIBRARY!r}; sys.path.insert(0, p); encodings.__path__.append(p + '/encodings')"
"""How a Python of its own finds what is not in the agent's root."""
_COPY = f"{FOUND}; from copies.inside import main; main()"


def execute(run: Run, first: int, asked: "dict[str, Any]", fds: list[int]) -> int | None:
    """A process of an exec; `first` is a descriptor of the payload's process, `fds` are standard input, output and
    error, or a socket that is to be given the terminal; the last is where to report. Its number, None if there is none.
    """
    *streams, report = fds
    try:
        return _fork_inside(first, lambda: _execute(run, first, asked, streams), report)
    except ProcessLookupError:
        _tell(report, _ENDED)
    except OSError as error:
        _tell(report, _not_begun("START_FAILED", error))
    return None


def _fork_inside(first: int, become: "Callable[[], None]", report: int) -> int:
    """A child in the payload's namespace of processes. Raises ProcessLookupError once its first one has ended, and
    OSError for what the kernel refuses else."""
    ours = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.enter(first, kernel.NEWPID)
        try:
            return payload.fork(become, report)
        except OSError:
            # A namespace without its first process takes no other, which the kernel calls a want of memory. But such a
            # namespace cannot be entered any more, either.
            kernel.enter(first, kernel.NEWPID)
            raise
    finally:
        kernel.enter(ours, kernel.NEWPID)
        os.close(ours)


def _not_begun(reason: str, error: OSError) -> bytes:
    """Why there is no process, for who asked for one."""
    words = payload.failure(error)
    return f"{reason}\0the microVM's kernel starts no further process: {words}. End some there first".encode()


def _tell(report: int, said: bytes) -> None:
    try:
        os.write(report, said)
    except BrokenPipeError:
        pass  # who asked has gone


def _execute(run: Run, first: int, asked: "dict[str, Any]", streams: list[int]) -> None:
    os.setsid()
    cgroups.join()
    try:
        kernel.enter(first, _SURROUNDINGS)
    except ProcessLookupError:
        raise becoming.Unexecutable("NOT_RUNNING", "the microVM's payload has just ended") from None
    user = users.resolve(asked["user"]) if asked["user"] else run.user
    if asked["tty"]:
        streams = [_terminal(streams[0], user, asked["cols"], asked["rows"])] * 3
    else:
        for fd in streams:
            os.fchown(fd, user.uid, user.gid)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    values = {"TERM": "xterm"} if asked["tty"] else {}
    values |= dict(line.partition("=")[::2] for line in run.env)
    values |= asked["env"]
    env = payload.with_home([f"{name}={value}" for name, value in values.items()], user.uid)
    becoming.limit(run)
    becoming.become(run, user, asked["argv"], env, asked["cwd"] or run.cwd)


def _terminal(give: int, user: User, cols: int, rows: int) -> int:
    """A terminal of the payload's own kind, which controls this session; its other end is given away."""
    outer = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(outer, _UNLOCK, struct.pack("i", 0))
    (number,) = struct.unpack("i", fcntl.ioctl(outer, _NUMBER, bytes(4)))
    inner = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    os.fchown(inner, user.uid, -1)
    fcntl.ioctl(inner, _WINDOW, struct.pack("4H", rows, cols, 0, 0))
    fcntl.ioctl(inner, _CONTROL, 0)
    with_it = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", outer))]
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, give)
    socket.sendmsg([b"t"], with_it)
    socket.detach()
    os.close(outer)
    return inner


def copy(first: int, fds: list[int]) -> int | None:
    """A process of a copy: with its socket, and what it reads or writes the archive from or to as both of its standard
    streams. It hears of the payload's end by itself. Its number, None if there is none."""
    control, archive, report = fds

    def become() -> None:
        os.setsid()
        for number in (0, 1):
            os.dup2(archive, number)
        for fd in (control, first):
            os.set_inheritable(fd, True)
        argv = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _COPY, str(control), str(first)]
        os.execve(sys.executable, argv, {})

    try:
        return payload.fork(become, report)
    except OSError as error:
        _tell(report, _not_begun("COPY_FAILED", error))
        return None

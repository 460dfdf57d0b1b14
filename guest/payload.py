"""The payload: the run's own process, the first of its namespaces, in its own file system."""

import os

from guest import becoming, cgroups, kernel, root, users
from guest.mounts import mounts
from guest.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_OWN = kernel.NEWNS | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWCGROUP
_REPORT_BYTES = 2_048
_FAILED = 127


def start(run: Run, outputs: tuple[int, int]) -> int:
    """Start it with standard output and error; returns its number once it has become its command. Raises Unexecutable
    when it does not."""
    reading, writing = os.pipe()
    pid = first_of_new(lambda: _become(run, outputs), writing)
    os.close(writing)
    try:
        hear(reading)
    except becoming.Unexecutable:
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(reading)
    return pid


def first_of_new(become: "Callable[[], None]", report: int) -> int:
    """A child that is the first process of a new namespace of processes. What is forked later is not in it."""
    ours = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.unshare(kernel.NEWPID)
        pid = fork(become, report)
        kernel.enter(ours, kernel.NEWPID)
    finally:
        os.close(ours)
    return pid


def fork(become: "Callable[[], None]", report: int) -> int:
    """A child that becomes something, or says in `report` why not and ends. Raises OSError when there is none."""
    pid = os.fork()
    if pid:
        return pid
    try:
        kernel.conceal()
        become()
    except becoming.Unexecutable as error:
        said = f"{error.reason}\0{error}"
    except OSError as error:
        said = f"START_FAILED\0{failure(error)}"
    except BaseException as error:
        said = f"START_FAILED\0the agent failed: {type(error).__name__}: {error}"
    try:
        os.write(report, said.encode(errors="replace")[:_REPORT_BYTES])
    finally:
        os._exit(_FAILED)  # also when nobody hears it: what comes after this is the parent's


def failure(error: OSError) -> str:
    """What the kernel refused, in words."""
    if error.errno is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{os.strerror(error.errno).lower()}"


def hear(report: int) -> None:
    """Wait until a child has become what it should. Raises Unexecutable when it says why it did not."""
    said = b""
    while part := os.read(report, _REPORT_BYTES):
        said += part
    if said:
        reason, _, message = said.decode(errors="replace").partition("\0")
        raise becoming.Unexecutable(reason, message)


def _become(run: Run, outputs: tuple[int, int]) -> None:
    os.setsid()
    stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for fd in outputs:
        os.fchown(fd, run.user.uid, run.user.gid)  # so that it may open its own /dev/stdout
    for number, fd in enumerate((stdin, *outputs)):
        os.dup2(fd, number)
    cgroups.join()
    kernel.unshare(_OWN)
    kernel.set_hostname(run.hostname)
    root.enter(mounts(run), run.masked, run.read_only_paths, run.read_only_root, run.cwd)
    becoming.limit(run)
    becoming.become(run, run.user, run.argv, with_home(run.env, run.user.uid), run.cwd)


def with_home(env: list[str], uid: int) -> list[str]:
    """The variables with a HOME."""
    if any(line.startswith("HOME=") for line in env):
        return env
    return [*env, f"HOME={users.home(uid)}"]

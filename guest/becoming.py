"""How a process becomes a command: with the run's rights and limits, or not at all, and why."""

import _signal
import errno
import os

from guest import kernel
from guest.run import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guest.run import Run, User

_IGNORED = (_signal.SIGPIPE, _signal.SIGXFSZ)
"""By Python, and by whatever it executes, unless that is taken back."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MISSING, _NOT_EXECUTABLE = "ENTRYPOINT_MISSING", "NOT_EXECUTABLE"


class Unexecutable(Exception):
    """Raised when it cannot; `reason` is the condition's name as the daemon's errors have it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def limit(run: "Run") -> None:
    """The run's limits for this process. Raises OSError."""
    for name, (soft, hard) in run.rlimits.items():
        kernel.set_limit(RLIMITS[name], soft, hard)


def become(run: "Run", user: "User", argv: list[str], env: list[str], cwd: str) -> None:
    """Never returns. Raises Unexecutable, and OSError when the kernel refuses what comes before."""
    _renounce(run, user, cwd)
    for number in _IGNORED:
        _signal.signal(number, _signal.SIG_DFL)
    _execute(argv, dict(line.partition("=")[::2] for line in env))


def _renounce(run: "Run", user: "User", cwd: str) -> None:
    """From root to the user, in the one order in which it can be done."""
    root = user.uid == 0
    held = run.capabilities if root else run.raised
    kernel.bound_capabilities(run.capabilities)
    kernel.keep_capabilities()
    entered = _enter(cwd)
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    if not entered and not _enter(cwd):
        raise _no_working_dir(cwd, errno.EACCES)
    kernel.set_capabilities(held, ambient=not root)
    if run.no_new_privileges:
        kernel.no_new_privileges()


def _enter(cwd: str) -> bool:
    """Whether it may. As with runc root goes in first, for an image's user may not enter its root's home; where root
    may not, the user is asked."""
    try:
        os.chdir(cwd)
    except PermissionError:
        return False
    except OSError as error:
        raise _no_working_dir(cwd, error.errno or 0) from None
    return True


def _no_working_dir(cwd: str, number: int) -> Unexecutable:
    why = os.strerror(number).lower()
    return Unexecutable("BAD_WORKING_DIR", f"the working directory {cwd} cannot be entered: {why}")


def _execute(argv: list[str], env: dict[str, str]) -> None:
    """As the shell would find it, along the PATH that it gets itself."""
    command = argv[0]
    if "/" in command:
        places = [command]
    else:
        places = [f"{directory or '.'}/{command}" for directory in env.get("PATH", _PATH).split(":")]
    refused = None
    for place in places:
        try:
            os.execve(place, argv, env)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.isfile(place):
                raise _unexecutable(place, "the interpreter or loader that it names is not in the image") from None
        except PermissionError:
            refused = refused or Unexecutable(
                _NOT_EXECUTABLE, f"the command `{command}` is not executable in the image"
            )
        except OSError as error:
            raise _unexecutable(place, _why(error)) from None
    raise refused or Unexecutable(_MISSING, f"the command `{command}` does not exist in the image")


def _unexecutable(place: str, why: str) -> Unexecutable:
    return Unexecutable(_NOT_EXECUTABLE, f"the command `{place}` cannot be executed: {why}")


def _why(error: OSError) -> str:
    if error.errno == errno.ENOEXEC:
        machine = f"another machine than this one ({os.uname().machine})"
        return f"it was built for {machine}, or is a script without a first line like `#!/bin/sh`"
    return os.strerror(error.errno or 0).lower()

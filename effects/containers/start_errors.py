"""What the runtime says when it cannot start a process, as a condition of ours. Pure.

Source of the texts: runc 1.1 and its Go libraries; containerd 1.6 hands them on behind the chain of who called whom.
"""

import re
from typing import Any

import grpc

from effects.containerd.connection import is_late, translated
from effects.errors import BadWorkingDir, DriverError, EntrypointMissing, MemoryTooLow, NotExecutable, StartFailed

_BROKEN = re.compile(r"runc did not terminate successfully: (exit status \d+|signal: [\w ]+)")
_MADE = re.compile(r"mkdir (/[^:]*): ")
_REASONS = ("not a directory", "permission denied", "no such file or directory", "too many levels of symbolic links")


def start_error(error: grpc.aio.AioRpcError, spec: dict[str, Any]) -> DriverError:
    """`spec` is the runtime spec that was to be started, {} where it is not at hand."""
    details = error.details() or ""
    process = spec.get("process", {})
    argv, cwd = process.get("args", ()), process.get("cwd", "")
    command = f" `{argv[0]}`" if argv else ""
    if "executable file not found" in details or ("exec:" in details and "no such file or directory" in details):
        return EntrypointMissing(f"the command{command} does not exist in the image")
    if "exec:" in details and ("permission denied" in details or "is a directory" in details):
        return NotExecutable(f"the command{command} is not executable in the image")
    if _is_about_cwd(details, cwd):
        why = next((reason for reason in _REASONS if reason in details), "the runtime does not say why")
        return BadWorkingDir(f"the working directory {cwd} cannot be entered: {why}")
    if "OOM-killed" in details or "unable to set memory limit" in details:
        return MemoryTooLow("the memory limit is too low to start a process with: raise `resources.memory`")
    failure = translated(error)
    if isinstance(failure, StartFailed) and not is_late(error):
        return StartFailed(f"the runtime could not start it: {_words(details)}")
    return failure


def _words(details: str) -> str:
    """runc's own words, which come last; behind them stands only what containerd knows of the kind of error."""
    broken = _BROKEN.search(details)
    if broken is not None:
        return f"runc itself ends ({broken[1]}) and says nothing: does `runc --version` work on the machine?"
    return (details.rpartition("runc ")[2] or details).removesuffix(": unknown")


def _is_about_cwd(details: str, cwd: str) -> bool:
    """A working directory that is missing is made; what cannot be made or entered is named."""
    if "chdir to cwd" in details:
        return True
    made = _MADE.search(details)
    return made is not None and bool(cwd) and (cwd == made[1] or cwd.startswith(made[1].rstrip("/") + "/"))

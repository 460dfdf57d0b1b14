"""A run whose process never became its command: the runtime says so where the command would have written its errors.

runc looks for the command before it makes the container, but only the kernel knows whether it can be executed; by then
nobody listens any more, and the first process writes one line and exits with 1. Source: runc 1.1, its init process.
"""

import os
import re
from pathlib import Path

_LINE = re.compile(rb"exec (/[^\n]*): (exec format error|no such file or directory|permission denied)\n?")
_WHY = {
    b"exec format error": "it was built for another machine than this one ({machine}), or is a script without a "
    "first line like `#!/bin/sh`",
    b"no such file or directory": "the interpreter or loader that it names is not in the image",
    b"permission denied": "the kernel does not let it be executed where it is",
}
_BYTES = 1_024


def never_ran(stderr: Path, machine: str) -> str:
    """Why, in words; empty when the process was the command and ended by itself."""
    try:
        if os.stat(stderr).st_size > _BYTES:
            return ""
        found = _LINE.fullmatch(stderr.read_bytes())
    except OSError:
        return ""
    if found is None:
        return ""
    why = _WHY[found[2]].format(machine=machine)
    return f"the command `{found[1].decode(errors='replace')}` cannot be executed: {why}"

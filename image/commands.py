"""The one way in which the builder runs programs: quietly, and with all that they said when they fail."""

import os
import shlex
import subprocess
from pathlib import Path

from image.modes import UMASK


class BuildFailed(Exception):
    """Raised when an image cannot be built, with what to do about it."""


def command(
    *argv: str | Path, cwd: Path | None = None, stdin: bytes | None = None, epoch_s: int | None = None
) -> bytes:
    """Run to the end and return its output. `epoch_s` is the time that it shall put into what it makes. Raises
    BuildFailed, with a line that can be pasted into a shell."""
    words = [str(one) for one in argv]
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"}
    environment.pop("SOURCE_DATE_EPOCH", None)
    if epoch_s is not None:
        environment["SOURCE_DATE_EPOCH"] = str(epoch_s)
    try:
        done = subprocess.run(
            words, cwd=cwd, input=stdin, capture_output=True, check=False, env=environment, umask=UMASK
        )
    except FileNotFoundError as error:
        raise BuildFailed(f"{words[0]} is not installed: `make image` installs what it needs, as root") from error
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise BuildFailed(f"`{shlex.join(words)}` ended with {done.returncode}:\n{said[-4000:]}")
    return done.stdout

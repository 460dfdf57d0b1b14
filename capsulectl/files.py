"""Files of this side: private, and replaced whole or not at all."""

import contextlib
import os
from pathlib import Path

from capsulectl.errors import Failure


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically: mode 0600, in a directory of mode 0700. Raises Failure."""
    import tempfile

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(PermissionError):
            os.chmod(path.parent, 0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as scratch:
            scratch.write(content)
            scratch.flush()
            os.fsync(scratch.fileno())
        os.replace(scratch.name, path)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error

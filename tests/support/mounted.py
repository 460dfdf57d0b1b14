"""Something mounted for as long as somebody looks at it."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted(*how: str) -> Iterator[Path]:
    """Where; `how` is what `mount` is told before that."""
    point = Path(tempfile.mkdtemp(prefix="capsule-mounted-"))
    try:
        subprocess.run(["mount", *how, point], check=True)
        yield point
    finally:
        subprocess.run(["umount", point], capture_output=True, check=False)
        point.rmdir()

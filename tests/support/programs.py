"""Programs that a test begins and talks to: whatever it finds wrong, none outlives its block, and none is waited for
without an end."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LATE_S = 120
"""Far longer than any of them takes: a read of what it never says ends by then, in the end of its output."""


@contextmanager
def running(argv: Sequence[str | Path], **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """One, for the length of a block; `options` are Popen's."""
    with subprocess.Popen(argv, **options) as process:
        late = threading.Timer(LATE_S, process.kill)
        late.daemon = True
        late.start()
        try:
            yield process
        finally:
            late.cancel()
            process.kill()

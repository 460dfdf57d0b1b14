"""How many files the daemon may have open: this is also the most that containerd, which it starts, and the containers
under that may have."""

import resource
from contextlib import suppress
from pathlib import Path

NR_OPEN = Path("/proc/sys/fs/nr_open")
"""More than this the kernel gives nobody."""


def raise_limit(own_machine: bool) -> None:
    """As many as may be. On its `own_machine` nobody has raised the limit before: PID 1 has the kernel's, of 4,096 at
    most, which is fewer than a container is promised. Elsewhere the machine's owner has set what is right."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if own_machine:
        most = int(NR_OPEN.read_text())
        with suppress(ValueError, OSError):  # not allowed: then it stays what it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            return
    # Each running workload's log keeps three files open; the soft limit is often 1024.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

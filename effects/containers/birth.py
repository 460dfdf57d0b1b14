"""Whether a container's process ever became its program, when its start was cut: told by what runc leaves behind.

runc's `create` makes a process that waits at a FIFO; `start` opens the FIFO, the process writes one byte and becomes
the program, and `start` removes the FIFO. When containerd dies, its shim kills whatever `create` or `start` it was
running, and from then on its own word is not enough: a task that is "created" for ever may run its program, and one
that "exited" with 1, 137 or 255 may never have been a program at all. The FIFO knows: it is gone, or has been written
to, once the process was let go. Source: runc 1.1, libcontainer's container and its init process.
"""

import os
from pathlib import Path

from effects.containerd.connection import NAMESPACE

_GATE = "exec.fifo"
_STATE = "state.json"
_INIT = b"runc\0init\0"


class Births:
    """runc's own directory, read. `runc_root` is what containerd was told to use."""

    def __init__(self, runc_root: Path) -> None:
        self._directory = runc_root / NAMESPACE

    def known(self, cid: str) -> bool:
        """Whether runc still has the container: of one it has not, nothing can be said."""
        return (self._directory / cid).is_dir()

    def held(self, cid: str) -> bool:
        """Whether the process waits at the gate, or died there: no program of this container has ever run."""
        try:
            gate, state = self._stat(cid, _GATE), self._stat(cid, _STATE)
        except FileNotFoundError:
            return False
        # The gate is made before the state is first written, and written to long after it: `start` is another process.
        return gate.st_mtime_ns <= state.st_mtime_ns

    def complete(self, cid: str) -> None:
        """Do what a `start` that was cut has left to do: without the gate, runc itself knows that it runs."""
        if not self.held(cid):
            (self._directory / cid / _GATE).unlink(missing_ok=True)

    @staticmethod
    def unborn(pid: int) -> bool:
        """Whether the process has been let go and is still the runtime's own, about to become the program."""
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes() == _INIT
        except OSError:
            return False

    def _stat(self, cid: str, name: str) -> os.stat_result:
        return os.stat(self._directory / cid / name)

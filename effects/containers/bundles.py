"""What a container's process is given, in memory alone: containerd keeps a container's spec on the disk, so it gets one
without an environment, and the whole one takes its place when runc makes the container.

containerd writes the spec it keeps into the task's bundle, and its shim calls `runc create` there. The shim is told to
call the program below in place of runc: it makes the bundle's config.json a link to the whole spec, and becomes runc.
Sources: containerd 1.6, runtime/v2/bundle.go and the option `binary_name`; go-runc, the order of create's arguments.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from effects.memory import unkept

_PROGRAM = """\
#!/bin/sh
# Written by capsuled: runc, to which a container's whole spec is handed in memory.
for word; do
    [ "$previous" = create ] && creates=yes
    [ "$previous" = --bundle ] && bundle=$word
    previous=$word
done
if [ "$creates" ]; then
    [ -f "{specs}/$previous.json" ] || {{ echo "the spec of $previous is not in memory" >&2; exit 1; }}
    ln -sf "{specs}/$previous.json" "$bundle/config.json" || exit 1
fi
exec runc "$@"
"""


class Bundles:
    """Whole specs by container id, below a file system in memory."""

    def __init__(self, memory: Path) -> None:
        self._specs = memory / "specs"
        self.program = memory / "runc"

    def prepare(self) -> None:
        """The program is there. Raises OSError."""
        self._specs.mkdir(exist_ok=True, mode=0o700)
        fresh = self.program.with_suffix(".new")
        fresh.write_text(_PROGRAM.format(specs=self._specs))
        fresh.chmod(0o700)
        fresh.rename(self.program)  # a shim may be about to call it

    def write(self, cid: str, spec: dict[str, Any]) -> None:
        """Keep the whole spec. Raises MemoryFull, StartFailed."""
        fresh = self._path(cid).with_suffix(".new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(spec))
            fresh.rename(self._path(cid))
        except OSError as error:
            raise unkept(fresh, error) from error

    def read(self, cid: str) -> dict[str, Any] | None:
        """The whole spec of a container; None of one that another release made."""
        try:
            found: dict[str, Any] = msgspec.json.decode(self._path(cid).read_bytes())
        except OSError:
            return None
        return found

    def remove(self, cid: str) -> None:
        """Nothing is kept of it."""
        for path in (self._path(cid), self._path(cid).with_suffix(".new")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _path(self, cid: str) -> Path:
        return self._specs / f"{cid}.json"


def without_environment(spec: dict[str, Any]) -> dict[str, Any]:
    """What may be kept on a disk."""
    return {**spec, "process": {**spec["process"], "env": []}}

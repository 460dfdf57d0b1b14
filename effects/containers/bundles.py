"""What a container's process is given, in memory alone: containerd keeps a container's spec on the disk, so it gets one
without an environment, and the whole one takes its place when runc makes the container.

containerd writes the spec it keeps into the task's bundle, and its shim calls `runc create` there. The shim is told to
call the program below in place of runc: it names the directory with the whole spec in place of the bundle, and becomes
runc. It starts no other program: it is a part of every start.
Sources: containerd 1.6, runtime/v2/bundle.go (a bundle is named by its container) and the option `binary_name`;
go-runc, where `create` alone of what the shim calls has a `--bundle`.
"""

import os
import shutil
from typing import Any

import msgspec

from effects.containerd.config import Paths
from effects.containerd.connection import NAMESPACE
from effects.containerd.leftovers import TASKS
from effects.memory import unkept

_SPEC = "config.json"
_PROGRAM = """\
#!/bin/sh
# Written by capsuled: runc, to which a container's whole spec is handed in memory.
previous=
for word; do
    shift
    [ "$previous" = --bundle ] && word="{specs}/${{word##*/}}"
    set -- "$@" "$word"
    previous=$word
done
exec runc "$@"
"""


class Bundles:
    """Whole specs by container id, each in a directory of its own below containerd's file system in memory."""

    def __init__(self, paths: Paths) -> None:
        self._specs = paths.memory / "specs"
        self._tasks = paths.state / TASKS / NAMESPACE
        self.program = paths.memory / "runc"

    def prepare(self) -> None:
        """The program is there. Raises OSError."""
        self._specs.mkdir(exist_ok=True, mode=0o700)
        fresh = self.program.with_suffix(".new")
        fresh.write_text(_PROGRAM.format(specs=self._specs))
        fresh.chmod(0o700)
        fresh.rename(self.program)  # a shim may be about to call it

    def write(self, cid: str, spec: dict[str, Any]) -> None:
        """Keep the whole spec. Raises MemoryFull, StartFailed."""
        # As containerd has it, the root's path is one in its bundle.
        root = {**spec["root"], "path": str(self._tasks / cid / spec["root"]["path"])}
        directory = self._specs / cid
        fresh = directory / f"{_SPEC}.new"
        try:
            directory.mkdir(exist_ok=True, mode=0o700)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode({**spec, "root": root}))
            fresh.rename(directory / _SPEC)
        except OSError as error:
            raise unkept(directory, error) from error

    def read(self, cid: str) -> dict[str, Any] | None:
        """The whole spec of a container; None of one that another release made."""
        try:
            found: dict[str, Any] = msgspec.json.decode((self._specs / cid / _SPEC).read_bytes())
        except OSError:
            return None
        return found

    def remove(self, cid: str) -> None:
        """Nothing is kept of it."""
        shutil.rmtree(self._specs / cid, ignore_errors=True)


def without_environment(spec: dict[str, Any]) -> dict[str, Any]:
    """What may be kept on a disk."""
    return {**spec, "process": {**spec["process"], "env": []}}

"""Which volumes are attached, as disks, to microVMs: a mark each, which the power takes away as it does mounts.

    run/volumes/NAME.UID.disk       a link to the volume's file

Between two runs a volume is attached and nobody has it open; whether a virtual machine has, its lock on the file says
(effects/held.py): that ends with the machine. Blocking, but for moments.
"""

import os
import re
from pathlib import Path

_MARK = re.compile(r"(?P<name>[^./]+)\.(?P<uid>\d+)\.disk")


class Attached:
    """The marks in a volatile directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _mark(self, name: str, uid: int) -> Path:
        return self._directory / f"{name}.{uid}.disk"

    def has(self, name: str, uid: int) -> bool:
        """Whether the volume is attached."""
        return self._mark(name, uid).is_symlink()

    def add(self, name: str, uid: int, image: Path) -> None:
        """It is attached. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.has(name, uid):
            self._mark(name, uid).symlink_to(image)

    def remove(self, name: str, uid: int) -> None:
        """It is not attached. Raises OSError."""
        self._mark(name, uid).unlink(missing_ok=True)

    def all(self) -> set[tuple[str, int]]:
        """Every attached volume, also those whose file is gone."""
        names = os.listdir(self._directory) if self._directory.exists() else []
        found = (_MARK.fullmatch(name) for name in names)
        return {(match["name"], int(match["uid"])) for match in found if match is not None}

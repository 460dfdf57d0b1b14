"""The monitor's program and all that it needs of the machine's files, found once for each of its versions."""

import os
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from effects.errors import DriverLacks
from effects.microvms.command_line import FIRMWARE, Accelerator

QEMU = "qemu-system-x86_64"
_LOADER = "/lib64/ld-linux-x86-64.so.2"
_CACHE = Path("/etc/ld.so.cache")
_LIBRARY = re.compile(r"\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)")
_MODULES = {"tcg": "accel-tcg-x86_64.so"}
"""Parts that Debian's QEMU loads when they are asked for; others have them built in."""
_FIRMWARE = ("bios-microvm.bin",)
_FIRMWARE_PLACES = ("/usr/share/qemu", "/usr/share/seabios")

Run = Callable[..., Awaitable[bytes]]
"""Runs a command to its end and returns its output."""


class Program(msgspec.Struct, frozen=True):
    """`files` are (source, place in the monitor's root)."""

    path: str
    files: tuple[tuple[str, str], ...]


class Programs:
    """Asks the loader what the program loads, again only when either has changed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[Accelerator, tuple[object, Program]] = {}

    async def find(self, accelerator: Accelerator) -> Program:
        """Raises DriverLacks where it is not installed, and CommandFailed."""
        path = installed()
        stamp = tuple((stat.st_ino, stat.st_mtime_ns) for stat in (os.stat(path), _CACHE.stat()))
        known = self._known.get(accelerator)
        if known is None or known[0] != stamp:
            files = ((path, path), *await self._libraries(path), *_modules(path, accelerator), *_firmware())
            known = self._known[accelerator] = stamp, Program(path, tuple(files))
        return known[1]

    async def _libraries(self, path: str) -> list[tuple[str, str]]:
        said = (await self._run(_LOADER, "--list", path)).decode()
        found = [match[1] for line in said.splitlines() if (match := _LIBRARY.fullmatch(line)) is not None]
        return [(os.path.realpath(one), one) for one in dict.fromkeys((*found, _LOADER))]


def installed() -> str:
    """The program's path. Raises DriverLacks where it, or the firmware that it needs, is not installed."""
    path = shutil.which(QEMU)
    if path is None:
        raise DriverLacks(f"{QEMU} is not installed: a microVM needs it. Install the package qemu-system-x86")
    _firmware()
    return os.path.realpath(path)


def _modules(path: str, accelerator: Accelerator) -> list[tuple[str, str]]:
    name = _MODULES.get(accelerator)
    found = sorted(Path(path).parent.parent.glob(f"lib/*/qemu/{name}")) if name is not None else []
    return [(str(one), str(one)) for one in found]


def _firmware() -> list[tuple[str, str]]:
    places = [Path(place) / name for name in _FIRMWARE for place in _FIRMWARE_PLACES]
    found = next((one for one in places if one.exists()), None)
    if found is None:
        raise DriverLacks(f"{places[0]} is not installed: a microVM's monitor needs it")
    return [(os.path.realpath(found), f"{FIRMWARE}/{found.name}")]

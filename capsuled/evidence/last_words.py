"""What the kernel kept over the reset (pstore), and what the watchdog remembers of one.

pstore is emptied at each start of the machine, into a directory of that boot on /perm: so what is found there was
written since the start before. Source: the kernel's Documentation/admin-guide/pstore-blk.rst and ramoops.rst,
Documentation/watchdog/watchdog-api.rst (bootstatus).
"""

import logging
import os
import re
import shutil
from pathlib import Path

from capsuled.evidence.seemly import seemly

log = logging.getLogger(__name__)

PSTORE = Path("/sys/fs/pstore")
BACKEND = Path("/sys/module/pstore/parameters/backend")
WATCHDOGS = Path("/sys/class/watchdog")
BOOTS_KEPT = 4
_FILE_BYTES, _FILES = 64 << 10, 64
_CARD_RESET = 0x20  # WDIOF_CARDRESET
_TELLS = ("i6300esb", "sp5100 tco")
"""How those watchdogs' identities begin whose drivers say whether they fired (their bootstatus, in the kernel's
drivers/watchdog)."""
_PART = re.compile(r"^dmesg-(\S+?)-(\d+)(?:\.\S+)?$")
_LINES = 200


def take(kept: Path, boot: str, pstore: Path = PSTORE) -> bool:
    """Empty pstore into `kept/boot`, at this boot's beginning; whether nothing is left in it. The directory is there
    afterwards also where nothing was, and a daemon that is started again finds it done. Raises OSError."""
    target = kept / boot
    if not target.is_dir():
        _take(kept, boot, pstore)
    return not pstore.is_dir() or not any(pstore.iterdir())


def _take(kept: Path, boot: str, pstore: Path) -> None:
    target, scratch = kept / boot, kept / f".{boot}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, mode=0o700)
    found = sorted(pstore.iterdir()) if pstore.is_dir() else []
    for file in found[:_FILES]:
        with file.open("rb") as source, (scratch / file.name).open("wb") as copy:
            copy.write(source.read(_FILE_BYTES))
            copy.flush()
            os.fsync(copy.fileno())
    scratch.replace(target)
    directory = os.open(kept, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    for file in found:
        file.unlink(missing_ok=True)
    boots = sorted(kept.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in boots[BOOTS_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def backend(file: Path = BACKEND) -> str:
    """What keeps the kernel's last words here; empty for nothing."""
    try:
        name = file.read_text().strip()
    except OSError:
        return ""
    return "" if name in ("", "(null)") else name


def last_words(directory: Path) -> tuple[str, ...]:
    """The kernel's lines in what was taken, the oldest first. Each record comes in numbered parts, of which the first
    is the last to have been written."""
    parts: list[tuple[int, str]] = []
    for file in directory.iterdir() if directory.is_dir() else ():
        found = _PART.match(file.name)
        if found is not None:
            parts.append((_order(file), file.read_bytes().decode("utf-8", "replace")))
    lines: list[str] = []
    for _, text in sorted(parts, key=lambda part: -part[0]):
        # Each part begins with a line of its own: `Panic#1 Part3`.
        lines += [line for line in text.splitlines() if not re.match(r"^\w+#\d+ Part\d+$", line)]
    return seemly(lines, _LINES)


def _order(file: Path) -> int:
    """The part's number, as its first line has it; else as its name has it, which ends in it."""
    with file.open("rb") as source:
        first = source.readline(200).decode("utf-8", "replace")
    found = re.match(r"^\w+#\d+ Part(\d+)$", first.strip())
    return int(found[1]) if found else 0


def held(sys: Path = WATCHDOGS) -> str:
    """The watchdog that PID 1 pets, by its name: the kernel's first. Empty for none."""
    return _said_of(sys / "watchdog0", "identity")


def fired(armed: str, sys: Path = WATCHDOGS) -> tuple[str, bool | None]:
    """Which watchdog says that it reset the machine before this boot. Of the one that was `armed` its silence tells,
    too, where it would have said so; else nobody knows."""
    silent = False
    for place in sorted(sys.glob("watchdog*")) if sys.is_dir() else ():
        identity, status = _said_of(place, "identity"), _said_of(place, "bootstatus")
        if status.isdecimal() and int(status) & _CARD_RESET:
            return identity, True
        silent = silent or (identity == armed and status.isdecimal() and armed.lower().startswith(_TELLS))
    return (armed, False) if silent else ("", None)


def _said_of(place: Path, name: str) -> str:
    try:
        return (place / name).read_text().strip()
    except OSError:
        return ""

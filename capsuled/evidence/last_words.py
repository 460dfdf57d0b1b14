"""What the kernel kept over the reset (pstore), and what the watchdog remembers of one.

pstore is emptied at each start of the machine, into a directory of that boot on /perm: so what is found there was
written since the start before. Source: the kernel's Documentation/admin-guide/pstore-blk.rst and ramoops.rst,
Documentation/watchdog/watchdog-api.rst (bootstatus).
"""

import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from capsuled.boot_order import newest_first, put_behind
from capsuled.evidence.bounded import whole
from capsuled.evidence.redacted import redacted
from projections.causes import tells_the_end

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
_HEAD = re.compile(r"^(\w+)#(\d{1,9}) Part(\d{1,9})$")
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
    earlier = [one for one in kept.iterdir() if one != scratch]
    put_behind(scratch, earlier)
    scratch.replace(target)
    directory = os.open(kept, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    for file in found:
        file.unlink(missing_ok=True)
    for old in newest_first(earlier)[BOOTS_KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def backend(file: Path = BACKEND) -> str:
    """What keeps the kernel's last words here; empty for nothing."""
    try:
        name = file.read_text(errors="replace").strip()
    except OSError:
        return ""
    return "" if name in ("", "(null)") else name


class Dump(msgspec.Struct, frozen=True):
    """What the kernel wrote at one end, the oldest line first. `alone`: nothing of another dump can be in it."""

    lines: tuple[str, ...]
    alone: bool = True


def dumps(directory: Path) -> tuple[Dump, ...]:
    """What was taken. Each dump comes in numbered parts, of which the first is the last to have been written, and each
    part begins with a line of its own: `Panic#1 Part3`. The kernel counts its dumps from 1 in every boot. Raises
    OSError."""
    found: dict[tuple[int, str], list[tuple[int, list[str]]]] = {}
    for file in sorted(directory.iterdir())[:_FILES] if directory.is_dir() else ():
        if _PART.match(file.name) is not None:
            lines = whole(file, _FILE_BYTES).decode("utf-8", "replace").splitlines()
            head = _HEAD.match(lines[0].strip()) if lines else None
            key, part = ((int(head[2]), head[1]), int(head[3])) if head else ((0, file.name), 1)
            found.setdefault(key, []).append((part, lines[1:] if head else lines))
    return tuple(_dump(found[key]) for key in sorted(found))


def _dump(parts: list[tuple[int, list[str]]]) -> Dump:
    """Where two parts have one number there were two such dumps, in two boots."""
    in_order = sorted(parts, key=lambda part: -part[0])
    alone = len({number for number, _ in parts}) == len(parts)
    return Dump(tuple(line for _, lines in in_order for line in lines), alone)


def last_words(found: Iterable[Dump]) -> tuple[str, ...]:
    """The kernel's lines, as they may stand in the journal."""
    return redacted((line for dump in found for line in dump.lines), _LINES)


def are_of(update: int, found: Iterable[Dump]) -> bool:
    """Whether whatever says here why a kernel ended was written by the tentative boot of that update: each such dump
    has to show it. That pstore was empty before does not: the system that is back may have panicked, too, on its way.
    """
    telling = [dump for dump in found if any(map(tells_the_end, dump.lines))]
    return bool(telling) and all(dump.alone and any(_shows(line, update) for line in dump.lines) for dump in telling)


def marker(update: int, slot: str) -> str:
    """The line in the kernel's log by which its last words tell whose they are: of initramfs, PID 1 and keeper."""
    return f"capsule: tentative boot of update {update} ({slot})"


def _shows(line: str, update: int) -> bool:
    """By that line, or by the kernel's command line."""
    return f"tentative boot of update {update} " in line or f"capsule.update={update} " in f"{line} "


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
        return (place / name).read_text(errors="replace").strip()
    except OSError:
        return ""

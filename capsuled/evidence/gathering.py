"""Everything that a tentative boot left, as one `Evidence`: read by the boot after it, before anybody judges.

Nothing here fails: a place that cannot be read is one that is listed as such.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from capsuled.boot.stages import since_boot_ns
from capsuled.evidence.keeping import Alive, Begun, Returning
from capsuled.evidence.last_words import WATCHDOGS, fired, last_words
from capsuled.evidence.records import Records, read_area, read_records
from capsuled.evidence.seemly import seemly, seemly_line, without_messages
from journal.evidence import Cause, DaemonEnd, Evidence, FailedCheck, Loader, Looked, Mark

_TAIL_BYTES = 128 << 10
_MARKS = 200
_T = TypeVar("_T")


class Told(msgspec.Struct, frozen=True):
    """What the journal has of the tentative boot: why the system itself went back, what its health gate said last, and
    how its daemon ended."""

    boot: str = ""
    cause: Cause | None = None
    at_ms: int = 0
    failing: tuple[FailedCheck, ...] = ()
    ends: tuple[DaemonEnd, ...] = ()


class Places(msgspec.Struct, frozen=True):
    """Where to look: the update's directory on /perm, the slot's boot partition, what pstore was emptied into at this
    boot's beginning (`last_words`), the name of what keeps such here (`pstore`), and the daemon's logs of all boots."""

    kept: Path
    boot_partition: Path
    last_words: Path
    pstore: str
    logs: Path
    watchdogs: Path = WATCHDOGS


def gather(
    update: int,
    slot: str,
    loader: Loader,
    places: Places,
    told: Told = Told(),
    now_ns: Callable[[], int] = since_boot_ns,
    wall_ns: Callable[[], int] = time.time_ns,
) -> Evidence:
    """All of it. `loader`: what the boot loader says of the one-shot."""
    looked: list[Looked] = [_loader_said(loader)]
    recorded = _recorded(update, places, looked)
    kept = _kept(places, looked)
    panic = _panic(places, kept, looked)
    watchdog, reset = fired(kept.begun.watchdog if kept.begun else "", places.watchdogs)
    looked.append(_watchdog_said(watchdog, reset))
    looked.append(_journal_said(told))
    began_at = wall_ns() - now_ns()
    returning, returning_ms = _returning(told, kept, recorded)
    boot = told.boot or (kept.begun.boot if kept.begun else "") or recorded.boot
    return Evidence(
        slot=slot,
        boot=boot,
        release=seemly_line(kept.begun.release) if kept.begun else "",
        loader=loader,
        marks=tuple(sorted((*recorded.marks, *kept.marks), key=lambda mark: mark.at_ms)),
        ends=told.ends if len(told.ends) > len(recorded.ends) else recorded.ends,
        returning=returning,
        returning_ms=returning_ms,
        ordered=recorded.ordered,
        failed=told.failing or (kept.returning.failing if kept.returning else ()),
        alive_ms=kept.alive.alive_ms if kept.alive else 0,
        gap_ms=(began_at - kept.alive.at) // 1_000_000 if kept.alive else None,
        watchdog_reset=reset,
        panic=panic,
        panic_is_its=bool(panic) and ((kept.begun is not None and kept.begun.emptied) or _names(panic, update)),
        console=recorded.console,
        kernel=kept.kernel or recorded.kernel,
        log=_log(places.logs, boot),
        looked=tuple(looked),
    )


def marker(update: int, slot: str) -> str:
    """The line that initramfs and PID 1 put into the kernel's log, so that its last words tell whose they are."""
    return f"capsule: tentative boot of update {update} ({slot})"


def _names(panic: tuple[str, ...], update: int) -> bool:
    return any(f"tentative boot of update {update} " in line for line in panic)


def _returning(told: Told, kept: "_Kept", recorded: Records) -> tuple[Cause | None, int]:
    """The first word of those that may have been said: the journal's, that of the daemon's file, PID 1's."""
    if told.cause is not None:
        return told.cause, told.at_ms
    if kept.returning is not None:
        return kept.returning.cause, kept.returning.at_ms
    return recorded.returning, recorded.returning_ms


# --- place by place --------------------------------------------------------------------------------------------------


def _recorded(update: int, places: Places, looked: list[Looked]) -> Records:
    try:
        found = read_records(read_area(places.boot_partition), update)
    except OSError as error:
        looked.append(Looked("recorder", f"the record behind its boot image cannot be read: {error.strerror}", False))
        return Records()
    said = f"{_stages(found.marks)} of initramfs and PID 1" if found.marks else "no mark of initramfs or PID 1"
    looked.append(Looked("recorder", f"the record behind its boot image: {said}"))
    return found


class _Kept(msgspec.Struct, frozen=True):
    begun: Begun | None = None
    alive: Alive | None = None
    returning: Returning | None = None
    marks: tuple[Mark, ...] = ()
    kernel: tuple[str, ...] = ()


def _kept(places: Places, looked: list[Looked]) -> _Kept:
    """What the tentative daemon kept on /perm. Where it never came so far there is no directory, or an empty one."""
    place = places.kept
    if not (place / "begun.json").exists():
        usable = place.parent.is_dir()
        looked.append(Looked("perm", "what its daemon kept on /perm: nothing, it did not come so far", usable))
        return _Kept()
    found = _Kept(
        begun=_decoded(place / "begun.json", Begun),
        alive=_decoded(place / "alive", Alive),
        returning=_decoded(place / "returning.json", Returning),
        marks=tuple(_marks(place / "marks"))[-_MARKS:],
        kernel=seemly(_tail(place / "kernel").splitlines()),
    )
    lived = f"it lived {found.alive.alive_ms / 1000:.1f} s at least" if found.alive else "no sign of life"
    looked.append(Looked("perm", f"what its daemon kept on /perm: {_stages(found.marks)}, {lived}"))
    return found


def _stages(marks: tuple[Mark, ...]) -> str:
    return "1 stage" if len(marks) == 1 else f"{len(marks)} stages"


def _decoded(file: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _marks(file: Path) -> Iterator[Mark]:
    for line in _tail(file).splitlines():
        head, _, problem = line.partition("\t")
        at, _, name = head.partition(" ")
        if at.isdecimal() and name:
            yield Mark(seemly_line(name), min(int(at), 1 << 53), seemly_line(problem))


def _panic(places: Places, kept: _Kept, looked: list[Looked]) -> tuple[str, ...]:
    """What was taken over the reset, and whether there would be any: the tentative boot's own kernel had to have
    something to keep it in."""
    try:
        words = last_words(places.last_words)
    except OSError as error:
        looked.append(Looked("pstore", f"the kernel's last words cannot be read: {error.strerror}", False))
        return ()
    keeps = kept.begun.pstore if kept.begun else ""
    if words:
        said = f"the kernel's last words: {len(words)} lines"
    elif keeps or places.pstore:
        said = f"the kernel's last words ({keeps or places.pstore}): none"
    else:
        said = "the kernel's last words: this machine has nothing that keeps them"
    looked.append(Looked("pstore", said, bool(keeps)))
    return words


def _loader_said(loader: Loader) -> Looked:
    said = {
        "unknown": "they could not be read",
        "waiting": "the one-shot was not taken",
        "refused": "the slot could not be loaded",
        "taken": "the one-shot was taken",
    }[loader]
    return Looked("loader", f"the boot loader's variables: {said}", loader != "unknown")


def _watchdog_said(name: str, reset: bool | None) -> Looked:
    if reset is None:
        return Looked("watchdog", "the watchdog: none that remembers whether it fired", False)
    return Looked("watchdog", f"the watchdog ({name}): it {'reset' if reset else 'did not reset'} the machine")


def _journal_said(told: Told) -> Looked:
    if not told.boot:
        return Looked("journal", "the journal: no entry of that boot")
    said = f"that it went back, {told.cause}" if told.cause else "no word why it went back"
    return Looked("journal", f"the journal: entries of that boot, {said}")


def _log(logs: Path, boot: str) -> tuple[str, ...]:
    """The end of what that boot's daemon logged."""
    if not boot or "/" in boot:
        return ()
    return seemly(without_messages(_tail(logs / f"{boot}.log").splitlines()))


def _tail(file: Path) -> str:
    """Whole lines, as text; none of a file that is not there."""
    try:
        with file.open("rb") as source:
            size = source.seek(0, os.SEEK_END)
            source.seek(max(0, size - _TAIL_BYTES))
            content = source.read()
    except OSError:
        return ""
    return (content if size <= _TAIL_BYTES else content.partition(b"\n")[2]).decode("utf-8", "replace")

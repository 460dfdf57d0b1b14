"""Everything that a tentative boot left, as one `Evidence`: read by the boot after it, before anybody judges.

Nothing here fails: a place that cannot be read is one that is listed as such. Whoever left it was on trial and may have
left anything, so every number and every size is bounded where it is read, and every line goes through redacted.py.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from capsuled.boot.stages import since_boot_ns
from capsuled.evidence.bounded import milliseconds, reason, tail, whole
from capsuled.evidence.keeping import Alive, Begun, Returning
from capsuled.evidence.last_words import WATCHDOGS, Dump, are_of, dumps, fired, last_words
from capsuled.evidence.records import Records, read_area, read_records
from capsuled.evidence.redacted import newest, redacted, redacted_line, without_messages
from journal.evidence import Cause, DaemonEnd, Evidence, FailedCheck, Loader, Looked, Mark, Source

log = logging.getLogger(__name__)

_TAIL_BYTES = 128 << 10
_FILE_BYTES = 256 << 10
_MARKS, _CHECKS = 200, 64
_BOOT = re.compile(r"[0-9A-Za-z_-]{1,64}")
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
    recorded = _at(
        "recorder", "the record behind its boot image", partial(_recorded, update, places), Records(), looked
    )
    kept = _at("perm", "what its daemon kept on /perm", partial(_kept, places), _Kept(), looked)
    words: tuple[Dump, ...] = _at("pstore", "the kernel's last words", partial(_last_words, places, kept), (), looked)
    reset = _at("watchdog", "the watchdog", partial(_watchdog, places, kept), None, looked)
    looked.append(_journal_said(told))
    returning, returning_ms = _returning(told, kept, recorded)
    boot = told.boot or _boot_id(kept.begun.boot if kept.begun else "") or _boot_id(recorded.boot)
    marks = sorted((*recorded.marks, *kept.marks), key=lambda mark: mark.at_ms)
    return Evidence(
        slot=slot,
        boot=boot,
        release=redacted_line(kept.begun.release) if kept.begun else "",
        loader=loader,
        marks=newest(marks, lambda mark: len(mark.name) + len(mark.problem)),
        ends=told.ends if len(told.ends) > len(recorded.ends) else recorded.ends,
        returning=returning,
        returning_ms=returning_ms,
        ordered=recorded.ordered,
        failed=_redacted_checks(told.failing or (kept.returning.failing if kept.returning else ())),
        alive_ms=kept.alive.alive_ms if kept.alive else 0,
        gap_ms=(wall_ns() - now_ns() - kept.alive.at) // 1_000_000 if kept.alive else None,
        watchdog_reset=reset,
        panic=last_words(words),
        panic_is_its=are_of(update, words),
        console=recorded.console,
        kernel=kept.kernel or recorded.kernel,
        log=_log(places.logs, boot, looked),
        looked=tuple(replace(one, said=redacted_line(one.said)) for one in looked),
    )


def _returning(told: Told, kept: "_Kept", recorded: Records) -> tuple[Cause | None, int]:
    """The first word of those that may have been said: the journal's, that of the daemon's file, PID 1's."""
    if told.cause is not None:
        return told.cause, told.at_ms
    if kept.returning is not None:
        return kept.returning.cause, kept.returning.at_ms
    return recorded.returning, recorded.returning_ms


def _boot_id(text: str) -> str:
    """As it was left; none where it is none: it is part of a file's name."""
    return text if _BOOT.fullmatch(text) else ""


def _redacted_checks(failed: tuple[FailedCheck, ...]) -> tuple[FailedCheck, ...]:
    checks = [FailedCheck(redacted_line(one.name), redacted_line(one.message)) for one in failed[:_CHECKS]]
    return newest(checks, lambda one: len(one.name) + len(one.message))


# --- place by place --------------------------------------------------------------------------------------------------


def _at(source: Source, place: str, read: Callable[[], tuple[_T, Looked]], nothing: _T, looked: list[Looked]) -> _T:
    """What is found there. Whatever goes wrong in reading it is said in its place, and costs that alone."""
    try:
        found, said = read()
    except Exception as error:
        log.warning("%s cannot be read", place, exc_info=not isinstance(error, OSError))
        looked.append(Looked(source, f"{place} cannot be read: {reason(error)}", False))
        return nothing
    looked.append(said)
    return found


def _recorded(update: int, places: Places) -> tuple[Records, Looked]:
    found = read_records(read_area(places.boot_partition), update)
    said = f"{_stages(found.marks)} of initramfs and PID 1" if found.marks else "no mark of initramfs or PID 1"
    return found, Looked("recorder", f"the record behind its boot image: {said}")


class _Kept(msgspec.Struct, frozen=True):
    begun: Begun | None = None
    alive: Alive | None = None
    returning: Returning | None = None
    marks: tuple[Mark, ...] = ()
    kernel: tuple[str, ...] = ()


def _kept(places: Places) -> tuple[_Kept, Looked]:
    """What the tentative daemon kept on /perm. Where it never came so far there is no directory, or an empty one."""
    place, lost = places.kept, list[str]()
    try:
        (place / "begun.json").lstat()
    except FileNotFoundError:
        usable = place.parent.is_dir()
        return _Kept(), Looked("perm", "what its daemon kept on /perm: nothing, it did not come so far", usable)
    except OSError:
        pass  # each file says by itself that it cannot be read
    found = _Kept(
        begun=_file(place / "begun.json", partial(_decoded, Begun), None, lost),
        alive=_file(place / "alive", partial(_decoded, Alive), None, lost),
        returning=_file(place / "returning.json", partial(_decoded, Returning), None, lost),
        marks=_file(place / "marks", _marks, (), lost),
        kernel=_file(place / "kernel", _kernel, (), lost),
    )
    lived = f"it lived {found.alive.alive_ms / 1000:.1f} s at least" if found.alive else "no sign of life"
    said = "; ".join((f"{_stages(found.marks)}, {lived}", *lost))
    return found, Looked("perm", f"what its daemon kept on /perm: {said}", not lost)


def _file(file: Path, read: Callable[[Path], _T], nothing: _T, lost: list[str]) -> _T:
    """What a file says. One that is not there says nothing; one that cannot be read costs itself alone."""
    try:
        return read(file)
    except FileNotFoundError:
        return nothing
    except Exception as error:
        lost.append(f"{file.name} cannot be read: {reason(error)}")
        return nothing


def _stages(marks: tuple[Mark, ...]) -> str:
    return "1 stage" if len(marks) == 1 else f"{len(marks)} stages"


def _decoded(kind: type[_T], file: Path) -> _T:
    return msgspec.json.decode(whole(file, _FILE_BYTES), type=kind)


def _marks(file: Path) -> tuple[Mark, ...]:
    return tuple(_marks_in(tail(file, _TAIL_BYTES).splitlines()[-_MARKS:]))


def _marks_in(lines: Iterable[str]) -> Iterator[Mark]:
    for line in lines:
        head, _, problem = line.partition("\t")
        at, _, name = head.partition(" ")
        at_ms = milliseconds(at)
        if at_ms is not None and name:
            yield Mark(redacted_line(name), at_ms, redacted_line(problem))


def _kernel(file: Path) -> tuple[str, ...]:
    return redacted(tail(file, _TAIL_BYTES).splitlines())


def _last_words(places: Places, kept: _Kept) -> tuple[tuple[Dump, ...], Looked]:
    """What was taken over the reset, and whether there would be any: the tentative boot's own kernel had to have
    something to keep it in."""
    found = dumps(places.last_words)
    keeps = kept.begun.pstore if kept.begun else ""
    if found:
        said = f"the kernel's last words: {sum(len(one.lines) for one in found)} lines"
    elif keeps or places.pstore:
        said = f"the kernel's last words ({keeps or places.pstore}): none"
    else:
        said = "the kernel's last words: this machine has nothing that keeps them"
    return found, Looked("pstore", said, bool(keeps))


def _watchdog(places: Places, kept: _Kept) -> tuple[bool | None, Looked]:
    name, reset = fired(kept.begun.watchdog if kept.begun else "", places.watchdogs)
    if reset is None:
        return None, Looked("watchdog", "the watchdog: none that remembers whether it fired", False)
    said = f"the watchdog ({name}): it {'reset' if reset else 'did not reset'} the machine"
    return reset, Looked("watchdog", said)


def _loader_said(loader: Loader) -> Looked:
    said = {
        "unknown": "they could not be read",
        "waiting": "the one-shot was not taken",
        "refused": "the slot could not be loaded",
        "taken": "the one-shot was taken",
    }[loader]
    return Looked("loader", f"the boot loader's variables: {said}", loader != "unknown")


def _journal_said(told: Told) -> Looked:
    if not told.boot:
        return Looked("journal", "the journal: no entry of that boot")
    said = f"that it went back, {told.cause}" if told.cause else "no word why it went back"
    return Looked("journal", f"the journal: entries of that boot, {said}")


def _log(logs: Path, boot: str, looked: list[Looked]) -> tuple[str, ...]:
    """The end of what that boot's daemon logged. No cause is judged by it."""
    lost: list[str] = []
    nothing: tuple[str, ...] = ()
    lines = _file(logs / f"{boot}.log", _logged, nothing, lost) if boot else nothing
    looked += [Looked("perm", f"the log of its daemon: {one}", False) for one in lost]
    return lines


def _logged(file: Path) -> tuple[str, ...]:
    return redacted(without_messages(tail(file, _TAIL_BYTES).splitlines()))

"""The recorder's area of a boot partition, taken apart (init/recorder.py has the format, and writes it). Pure, but for
`read_area`."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from capsuled.boot.ends import how_text, traceback_of
from capsuled.evidence.bounded import milliseconds
from capsuled.evidence.redacted import newest, redacted, redacted_line
from init.recorder import AREA_BYTES, MAGIC, SECTOR
from journal.evidence import Cause, DaemonEnd, Mark, Order
from projections.causes import INIT, INITRAMFS_FAILED, ROOT

AREA = AREA_BYTES
"""At the end of a boot partition: not part of any image, and zeros once a slot is written anew."""

MARKS = {"initramfs": "initramfs", "root": ROOT, "init": INIT, "failed": INITRAMFS_FAILED}
"""Kinds of records that are stages, and what those are called."""

RETURNING: dict[str, Cause] = {
    "window-over": "not-confirmed",
    "daemon-crashes": "daemon-crashes",
    "state-lost": "state-lost",
    "init": "init-exit",
}
"""Why PID 1 sends a machine back, by its own words."""


ORDERS: dict[str, Order] = {"reboot": "reboot", "poweroff": "poweroff"}


class Record(msgspec.Struct, frozen=True):
    """One, as it was written."""

    boot: str
    at_ms: int
    kind: str
    text: str


class Records(msgspec.Struct, frozen=True):
    """What they say. `console` is what PID 1 said, `kernel` what the initramfs saw of the kernel's log as it failed."""

    boot: str = ""
    marks: tuple[Mark, ...] = ()
    ends: tuple[DaemonEnd, ...] = ()
    console: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    returning: Cause | None = None
    returning_ms: int = 0
    ordered: Order | None = None


def read_area(partition: Path) -> bytes:
    """Raises OSError."""
    with partition.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - AREA))
        return file.read(AREA)


def records(area: bytes, update: int) -> Iterator[Record]:
    """Those of this update, in the order of their places. What is no record is passed over."""
    at = 0
    while at < len(area):
        end = at + SECTOR
        if area.startswith(MAGIC, at):
            while end < len(area) and area[end - 1] and not area.startswith(MAGIC, end):
                end += SECTOR
            record = _record(area[at:end], update)
            if record is not None:
                yield record
        at = end


def _record(data: bytes, update: int) -> Record | None:
    text = data.rstrip(b"\0")[len(MAGIC) :].decode("utf-8", "replace").rstrip("\n")
    head, _, more = text.partition("\n")
    fields = head.split(" ", 4)
    if len(fields) < 4 or fields[0] != str(update) or (at_ms := milliseconds(fields[2])) is None:
        return None
    first = fields[4] if len(fields) == 5 else ""
    return Record(fields[1], at_ms, fields[3], f"{first}\n{more}" if more else first)


def read_records(area: bytes, update: int) -> Records:
    """All that they say."""
    found = list(records(area, update))
    marks = tuple(Mark(MARKS[one.kind], one.at_ms, _problem(one)) for one in found if one.kind in MARKS)
    last = next((one for one in reversed(found) if one.kind == "returning"), None)
    return Records(
        boot=next((one.boot for one in reversed(found) if one.boot), ""),
        marks=marks,
        ends=_ends(one for one in found if one.kind == "ended"),
        console=redacted(f"{one.at_ms / 1000:9.3f}  {one.text}" for one in found if one.kind == "said"),
        kernel=redacted(line for one in found if one.kind == "kernel" for line in one.text.splitlines()),
        returning=None if last is None else RETURNING.get(last.text.partition(" ")[0], "unknown"),
        returning_ms=0 if last is None else last.at_ms,
        ordered=next(
            (ORDERS[one.text.strip()] for one in found if one.kind == "ending" and one.text.strip() in ORDERS), None
        ),
    )


def _problem(record: Record) -> str:
    return redacted_line(record.text) if record.kind == "failed" else ""


def _ends(found: Iterable[Record]) -> tuple[DaemonEnd, ...]:
    """All of them; the newest with their places, as far as those fit."""
    ends = [_end(one) for one in found]
    told = len(newest(ends, lambda one: sum(map(len, one.trace))))
    older = [replace(one, trace=()) for one in ends[: len(ends) - told]]
    return (*older, *ends[len(older) :])


def _end(record: Record) -> DaemonEnd:
    """`LIVED_MS HOW` and, on further lines, the end of what the daemon wrote to standard error."""
    head, _, said = record.text.partition("\n")
    lived, _, how = head.partition(" ")
    trace, error = traceback_of(said)
    return DaemonEnd(
        redacted_line(how_text(how)), record.at_ms, milliseconds(lived) or 0, redacted(trace), redacted_line(error)
    )

"""What a tentative boot left behind, in the form that stands in the journal: bounded, escaped, and without secrets.

`capsuled/evidence/` gathers it after the machine went back; `projections/causes.py` judges it. Times are milliseconds
since that boot's kernel began, unless they are said to be wall time. New fields come with a default.
"""

from typing import Literal

import msgspec

Loader = Literal["unknown", "waiting", "refused", "taken"]
"""What the boot loader did with the one-shot: it did not take it (`waiting`), it took it and could not load the slot
(`refused`), or it took it and that is all it says (`taken`)."""

Cause = Literal[
    "operator", "not-confirmed", "unhealthy-workload", "no-uplink", "api-down", "state-lost", "daemon-crashes",
    "kernel-panic", "initramfs", "init-exit", "hung", "not-loadable", "never-booted", "power-lost", "unknown",
]  # fmt: skip
"""The closed list of why an update can have gone back; what each means in words stands in projections/causes.py."""

Confidence = Literal["certain", "likely", "none"]
"""`certain`: something that saw it said so; `likely`: what was found fits nothing else; `none`: unknown."""

Order = Literal["reboot", "poweroff"]
"""What PID 1 was told to do with the machine."""

Source = Literal["recorder", "perm", "pstore", "watchdog", "loader", "journal"]
"""Where was looked: the record at the end of the slot's boot partition, the files on /perm, what the kernel kept over
the reset, the watchdog's own memory, the boot loader's variables, and the journal."""


class Mark(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How far the boot came: a stage that it reached, or ended with a problem."""

    name: str
    at_ms: int
    problem: str = ""


class DaemonEnd(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An end of the daemon that PID 1 saw, as `daemon.crashed` has it."""

    how: str
    at_ms: int
    lived_ms: int = 0
    trace: tuple[str, ...] = ()
    error: str = ""


class FailedCheck(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the health gate found wrong last. `name` is the check's: api, state, uplink, or workload/NAME."""

    name: str
    message: str = ""


class Looked(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A place where was looked, and what was there in one sentence. `usable`: had there been something, it would be
    there."""

    source: Source
    said: str
    usable: bool = True


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """All of it, of one tentative boot. `boot` is its id, empty where nothing of it came so far.

    `returning`: what the tentative system itself took for the reason when it sent the machine back, and when that was;
    `failed`: what its health gate found wrong by then; `ordered`: PID 1 was told to end the machine, by whomever.
    `alive_ms` is its last sign of life, `gap_ms` the wall time from there to the beginning of the boot that found all
    this (None where either is not known). `watchdog_reset`: whether a watchdog ended it, None where none can say so.
    `panic` is what the kernel kept over the reset; `panic_is_its`: that is known to be of this boot and not of the one
    before it. `console` is what PID 1 said, `kernel` the end of the kernel's log, `log` of the daemon's.
    """

    slot: str
    boot: str = ""
    release: str = ""
    loader: Loader = "unknown"
    marks: tuple[Mark, ...] = ()
    ends: tuple[DaemonEnd, ...] = ()
    returning: Cause | None = None
    returning_ms: int = 0
    ordered: Order | None = None
    failed: tuple[FailedCheck, ...] = ()
    alive_ms: int = 0
    gap_ms: int | None = None
    watchdog_reset: bool | None = None
    panic: tuple[str, ...] = ()
    panic_is_its: bool = False
    console: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    looked: tuple[Looked, ...] = ()


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One cause, how sure that is, what it rests on, and where was looked for others, in sentences."""

    cause: Cause
    confidence: Confidence
    rests_on: tuple[str, ...] = ()
    looked_for: tuple[str, ...] = ()

"""What is left of a run whose monitor is gone: looked for here, judged by judging.py, the verdict written down once.

It may have ended while nobody was there to hear of it, or before its payload had begun.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from effects.errors import BadUser, BadWorkingDir, DriverError, EntrypointMissing, StartFailed
from effects.microvms.end_record import Record
from effects.microvms.judging import Traces, Verdict, judged
from effects.microvms.monitor import Monitor, read_record
from effects.microvms.places import Key, RunFiles, RunRecord
from effects.microvms.seemly import seemly
from effects.microvms.serial_tail import TAIL_BYTES
from effects.runs import cgroups
from projections.observations import ObservedRun
from projections.words import FAULTS

_ERRORS: dict[str, type[DriverError]] = {
    "ENTRYPOINT_MISSING": EntrypointMissing,
    "BAD_WORKING_DIR": BadWorkingDir,
    "BAD_USER": BadUser,
}


class Remains:
    """Of one capsule's microVMs. `group_of` is where a run's cgroup is, `boot` the machine's boot id."""

    def __init__(self, group_of: Callable[[Key], str], boot: str) -> None:
        self._group_of = group_of
        self._boot = boot
        self._unwritten: dict[Key, Verdict] = {}

    def judge(self, key: Key, files: RunFiles, record: RunRecord, monitor: Monitor | None = None) -> Verdict | None:
        """How a run without a monitor ended; `monitor` is one that was heard to end just now. None where its payload
        has never run, or where all that can be said is that the power was gone: then it is made anew."""
        if key in self._unwritten:
            return self._unwritten[key]
        found, said = files.monitor(), read_record(files)
        if found is None:
            return None
        this_boot = found.boot == self._boot
        if not (said.ran or (this_boot and not record.agent)) or (said.ending is None and not this_boot):
            return None
        verdict = judged(self._traces(key, files, record, said, monitor))
        try:
            files.judge(verdict)
        except OSError:  # a full disk: this life remembers, and the next judges again, by what is still there
            self._unwritten[key] = verdict
        return verdict

    def fault(self, monitor: Monitor) -> str:
        """What went wrong with one that ended before its payload had begun, in words; empty where nothing did."""
        files = monitor.files
        verdict = judged(self._traces(monitor.key, files, monitor.record, read_record(files), monitor))
        return f"{FAULTS[verdict.fault]}: {verdict.fault_text}" if verdict.fault is not None else ""

    def _traces(self, key: Key, files: RunFiles, record: RunRecord, said: Record, monitor: Monitor | None) -> Traces:
        traces = Traces(
            said,
            time.time_ns() if said.ending is None else files.end.stat().st_mtime_ns,
            starved=cgroups.killed(self._group_of(key)).kills > 0,
            agent=record.agent,
            serial=_tail(files.serial),
        )
        if monitor is None:
            return traces
        return msgspec.structs.replace(
            traces, status=monitor.status, why=monitor.why, asked=monitor.asked, words=monitor.words()
        )


def ended(seen: ObservedRun, record: RunRecord, verdict: Verdict) -> ObservedRun:
    """A run as it is after its end."""
    return msgspec.structs.replace(
        seen,
        status="stopped",
        exit_code=verdict.exit_code,
        exited_at_ns=verdict.exited_at_ns,
        oom_kills=verdict.oom_kills,
        memory_limit_bytes=record.memory_bytes if verdict.oom_kills else 0,
        unexecutable=verdict.unexecutable,
        fault=verdict.fault,
        fault_text=verdict.fault_text,
    )


def never_ran(monitor: Monitor) -> DriverError:
    """Why a payload did not become its command."""
    ending = read_record(monitor.files).ending
    if ending is not None and ending.unexecutable:
        return _ERRORS.get(ending.reason, StartFailed)(ending.unexecutable)
    return StartFailed(f"the microVM ended before its program began: {monitor.fault or 'it was killed'}")


def last_line(serial: Path) -> str:
    """What a console said last; empty where it has said nothing."""
    lines = [line for line in _tail(serial).splitlines() if line.strip()]
    return seemly(lines[-1].decode(errors="replace")) if lines else ""


def _tail(serial: Path) -> bytes:
    try:
        with serial.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES)
    except OSError:
        return b""

"""Where what belongs to a microVM's run lies, and the small records in it.

    <state>/NAME/UID/layer.REVISION.raw     the private writable layer: it outlives runs
    <state>/NAME/UID/RUN/run.json           what the run is called and was given; it is there, then anything else is
                        /lock               held by whoever starts it, and by the monitor as long as it lives
                        /monitor.json       which process is its monitor, or was
                        /end                what the guest tells of its payload (end_record.py)
                        /verdict.json       how it ended, judged once
    <logs>/NAME/UID.RUN.{out,err,serial}    what it writes
    <volatile>/HASH.UID.RUN.agent           the socket to its agent; .power, where there is none, the one to its switch.
                                            HASH is of NAME: what is applied together has one UID, and a socket's path
                                            has no room for a name

Records are whole or not there. None of them must outlive a power cut: the monitor does not.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from effects.microvms.judging import Verdict

Record = TypeVar("Record", bound=msgspec.Struct)
_RUN, _MONITOR, _VERDICT = "run.json", "monitor.json", "verdict.json"


class Key(NamedTuple):
    """A run."""

    name: str
    uid: int
    run: int


class RunRecord(msgspec.Struct, frozen=True):
    """`agent`: whether the guest has one, and an end record; `cid` is its number on vsock, 0 where the agent is behind
    a port of its machine; `memory_bytes` is what its payload may use."""

    revision: int = 0
    stop_signal: int = 15
    memory_bytes: int = 0
    agent: bool = True
    cid: int = 0
    accelerator: str = ""
    volumes: int = 0


class MonitorRecord(msgspec.Struct, frozen=True):
    """A process: no other one has this number and began then, in this boot."""

    pid: int
    start_time: int
    boot: str


class RunFiles:
    """Of one run."""

    def __init__(self, directory: Path, logs: Path, volatile: Path, key: Key) -> None:
        self.directory = directory
        self.lock = directory / "lock"
        self.end = directory / "end"
        stem = f"{key.uid}.{key.run}"
        self.out, self.err, self.serial = (logs / f"{stem}.{suffix}" for suffix in ("out", "err", "serial"))
        named = f"{hashlib.sha256(key.name.encode()).hexdigest()[:12]}.{stem}"
        self.agent, self.power = volatile / f"{named}.agent", volatile / f"{named}.power"

    def run(self) -> RunRecord | None:
        """None where the run has not even been begun, or its record was lost with the power."""
        return _read(self.directory / _RUN, RunRecord)

    def monitor(self) -> MonitorRecord | None:
        """None where no monitor was made."""
        return _read(self.directory / _MONITOR, MonitorRecord)

    def verdict(self) -> Verdict | None:
        """None where the run has not ended, or nobody has looked since."""
        return _read(self.directory / _VERDICT, Verdict)

    def begin(self, record: RunRecord) -> None:
        """The run is there, and nothing has happened in it. Raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (self.directory / _MONITOR, self.directory / _VERDICT, self.end):
            path.unlink(missing_ok=True)
        _write(self.directory / _RUN, record)

    def remember(self, record: MonitorRecord) -> None:
        """This is its monitor. Raises OSError."""
        _write(self.directory / _MONITOR, record)

    def judge(self, verdict: Verdict) -> None:
        """This is how it ended. Raises OSError."""
        _write(self.directory / _VERDICT, verdict)

    def remove(self) -> None:
        """Nothing of the run is there; its logs stay. Raises OSError."""
        for path in (self.agent, self.power):
            path.unlink(missing_ok=True)
        # Its name last: what is left of a removal that was cut is still seen as the run's.
        with contextlib.suppress(FileNotFoundError):
            for entry in self.directory.iterdir():
                if entry.name != _RUN:
                    entry.unlink(missing_ok=True)
            (self.directory / _RUN).unlink(missing_ok=True)
            self.directory.rmdir()


class Places:
    """All of one capsule's microVMs: `state` is kept, `volatile` goes with the power, `logs` are the workloads'."""

    def __init__(self, state: Path, volatile: Path, logs: Path) -> None:
        self._state = state
        self._logs = logs
        self.volatile = volatile

    @property
    def root(self) -> Path:
        """An empty directory for monitors to make their root in, each for itself."""
        return self.volatile / "root"

    def prepare(self) -> None:
        """What is volatile is there. Raises OSError."""
        self.volatile.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.mkdir(exist_ok=True, mode=0o700)

    def of(self, key: Key) -> RunFiles:
        """The run's."""
        directory = self._incarnation(key.name, key.uid) / str(key.run)
        return RunFiles(directory, self._logs / key.name, self.volatile, key)

    def runs(self) -> Iterator[Key]:
        """Every run there is anything of."""
        for incarnation in self._state.glob("*/*/"):
            if incarnation.name.isdecimal():
                yield from self.runs_of(incarnation.parent.name, int(incarnation.name))

    def runs_of(self, name: str, uid: int) -> Iterator[Key]:
        """Of one incarnation."""
        for entry in _entries(self._incarnation(name, uid)):
            if entry.name.isdecimal() and entry.is_dir():
                yield Key(name, uid, int(entry.name))

    def layer(self, name: str, uid: int, revision: int) -> Path:
        """A revision's writable layer."""
        return self._incarnation(name, uid) / f"layer.{revision}.raw"

    def drop_layers(self, name: str, uid: int, but: Path) -> None:
        """Of no other revision. Raises OSError."""
        for entry in _entries(self._incarnation(name, uid)):
            if entry.name.startswith(("layer.", ".layer.")) and entry != but:
                entry.unlink(missing_ok=True)

    def remove(self, name: str, uid: int) -> None:
        """Nothing of the incarnation is left: layers, logs. Raises OSError."""
        incarnation = self._incarnation(name, uid)
        if incarnation.exists():
            shutil.rmtree(incarnation)
        for path in (self._logs / name).glob(f"{uid}.*"):
            path.unlink(missing_ok=True)
        for directory in (self._state / name, self._logs / name):
            with contextlib.suppress(FileNotFoundError):
                if not any(directory.iterdir()):
                    directory.rmdir()

    def _incarnation(self, name: str, uid: int) -> Path:
        return self._state / name / str(uid)


def _entries(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(directory.iterdir())
    return []


def _read(path: Path, kind: type[Record]) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, record: msgspec.Struct) -> None:
    scratch = path.with_name(f".{path.name}")
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, msgspec.json.encode(record))
    finally:
        os.close(fd)
    os.replace(scratch, path)

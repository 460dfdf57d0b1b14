"""What a tentative boot keeps of itself on /perm, as it goes: the stages it reached, the kernel's log, signs of life,
and the daemon's word why it goes back. Everything is on the disk before what follows it happens, or soon after.

In the directory of the update: `begun.json` (which boot this is, and what it had to tell by), `marks` (a line a stage),
`kernel` (the kernel's log, bounded), `alive` (when it lived last), `returning.json`. Another boot's are left alone.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from capsuled.boot.stages import since_boot_ns
from capsuled.evidence.bounded import Ms, WallNs, tail
from capsuled.evidence.last_words import backend, held, marker
from effects.unbroken import to_its_end
from journal.evidence import Cause, FailedCheck

log = logging.getLogger(__name__)

ALIVE_S = 5.0
"""Between two signs of life; what of the kernel's log came meanwhile is on the disk with each."""
KERNEL_BYTES = 256 << 10
"""Over this, half of it stays, and what came since."""
KMSG = Path("/dev/kmsg")
TELL_BYTES = 2 << 10
"""The kernel keeps the last 10 KiB of its log over a reset, half of which may be what it says as it panics."""
_RECORD_BYTES = 8 << 10


class Begun(msgspec.Struct, frozen=True):
    """Which boot this is. `pstore`: what keeps the kernel's last words; `emptied`: nothing of an earlier boot was left
    in it when this began; `watchdog`: the one that resets the machine if it hangs."""

    boot: str
    slot: str
    release: str
    pstore: str
    emptied: bool
    watchdog: str = ""


class Alive(msgspec.Struct, frozen=True):
    """The last sign of life: since the kernel began, and in wall nanoseconds."""

    alive_ms: Ms
    at: WallNs


class Returning(msgspec.Struct, frozen=True):
    """Why the machine was sent back, and what the health gate found wrong."""

    cause: Cause
    at_ms: Ms
    failing: tuple[FailedCheck, ...] = ()


class Keeper:
    """Of the tentative boot of `update`. A disk that takes nothing costs the evidence, and the boot nothing."""

    def __init__(
        self,
        update: int,
        place: Path,
        kmsg: Path = KMSG,
        now_ns: Callable[[], int] = since_boot_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.update = update
        self._place = place
        self._kmsg = kmsg
        self._now_ns = now_ns
        self._wall_ns = wall_ns
        self._slot = ""
        self._untold = 0

    def begin(self, boot: str, slot: str, release: str, emptied: bool) -> None:
        """The state is mounted: from here on there is somewhere to keep anything."""
        self._slot = slot
        with self._losing():
            self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write("begun.json", msgspec.json.encode(Begun(boot, slot, release, backend(), emptied, held())))
        self.mark("state")

    def mark(self, name: str, problem: str = "") -> None:
        """A stage was reached, or ended with a problem."""
        line = f"{self._now_ns() // 1_000_000} {name}\t{' '.join(problem.split())}\n"
        with self._losing():
            _append(self._place / "marks", line.encode("utf-8", "replace"))

    def keep(self, cause: Cause, failing: tuple[FailedCheck, ...] = ()) -> None:
        """It is about to go back: nothing is written any more behind this."""
        self.sign()
        with self._losing():
            at_ms = self._now_ns() // 1_000_000
            self._write("returning.json", msgspec.json.encode(Returning(cause, at_ms, failing)))

    def sign(self) -> None:
        """It lives."""
        with self._losing():
            alive = Alive(self._now_ns() // 1_000_000, self._wall_ns())
            self._write("alive", msgspec.json.encode(alive))

    async def run(self, on_trial: Callable[[], bool]) -> None:
        """Signs of life and the kernel's log, for as long as the system is on trial."""
        try:
            fd = os.open(self._kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            log.warning("the kernel's log is not kept: %s", error.strerror)
            fd = -1
        try:
            first = True
            while on_trial():
                await to_its_end(asyncio.to_thread(self.turn, fd, first))  # which reads from what is closed below
                first = False
                await asyncio.sleep(ALIVE_S)
        finally:
            if fd >= 0:
                os.close(fd)

    def turn(self, fd: int, first: bool) -> None:
        """A sign of life, and what came of the kernel's log. A daemon's first turn has all that the kernel still
        remembers, in the place of what an earlier one wrote; of a log that is over its bound the end stays before what
        came."""
        lines = kernel_lines(fd) if fd >= 0 else []
        content = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")[-KERNEL_BYTES:]
        if content:
            with self._losing():
                file = self._place / "kernel"
                kept = -1 if first else _size(file)
                if 0 <= kept <= KERNEL_BYTES:
                    _append(file, content)
                else:
                    before = "" if kept < 0 else tail(file, KERNEL_BYTES // 2)
                    self._write("kernel", before.encode("utf-8", "replace") + content)
        self._tell_the_kernel(len(content))
        self.sign()

    def _tell_the_kernel(self, came: int) -> None:
        """So many more bytes are in its log: what it keeps of that is to say again whose it is."""
        self._untold += came
        if self._untold < TELL_BYTES:
            return
        self._untold = 0
        with self._losing():
            fd = os.open(self._kmsg, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, f"<7>{marker(self.update, self._slot)}\n".encode())
            finally:
                os.close(fd)

    def _write(self, name: str, content: bytes) -> None:
        """In the place of what it had, all or nothing, and on the disk."""
        scratch = self._place / f".{name}"
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._place / name)
        directory = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.warning("evidence of this boot is not kept: %s", error.strerror)


def _size(file: Path) -> int:
    """In bytes; -1 where there is none, as after a first write that failed."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return -1


def _append(file: Path, content: bytes) -> None:
    with file.open("ab") as open_file:
        open_file.write(content)
        open_file.flush()
        os.fsync(open_file.fileno())


def kernel_lines(fd: int) -> list[str]:
    """What /dev/kmsg has behind the last call, as dmesg prints it. Each read is one record: `PRIORITY,SEQ,US,…;TEXT`,
    further lines of it are fields for machines. Source: the kernel's Documentation/ABI/testing/dev-kmsg."""
    lines: list[str] = []
    while True:
        try:
            record = os.read(fd, _RECORD_BYTES).decode("utf-8", "replace")
        except BlockingIOError:
            return lines
        except BrokenPipeError:  # records were overwritten before they were read: on with the oldest that is there
            continue
        if not record:
            return lines
        head, _, text = record.partition(";")
        fields = head.split(",")
        if len(fields) >= 3 and fields[2].isdecimal():
            lines.append(f"[{int(fields[2]) / 1e6:12.6f}] {text.partition(chr(10))[0]}")

"""What a tentative boot tells for the boot after it, on the disk, before anything is mounted: the last 64 KiB of the
slot's boot partition, behind its image.

The area is 128 sectors. A record begins in a sector of its own, with a line

    CAPSULE1 UPDATE BOOT_ID AT_MS KIND TEXT

and may go on over further lines and sectors; what is left of its last sector is zeros. The initramfs writes the first
16 sectors, each record at a fixed place; PID 1 the others, one record behind the other, of which the last 8 are kept
for why it sends the machine back. A sector is written whole or not at all, so a power cut costs the last record.

`capsuled/evidence/records.py` reads it. An area that holds anything else is left alone.
"""

import os
import time

AREA_BYTES = 64 << 10
SECTOR = 512
FIRST, LAST_WORDS, SECTORS = 16, 120, 128
RECORD_BYTES = 8 * SECTOR
MAGIC = b"CAPSULE1 "
ROOT_DEVICE = "/run/capsule/init/root"
COMMAND_LINE = "/proc/cmdline"
KERNEL_LOG = "/dev/kmsg"
STDERR_BYTES = 3 << 10
BOOT_ID = "/proc/sys/kernel/random/boot_id"
_BOOT_OF_ROOT = {"3": "2", "5": "4"}
"""The partition of a slot's boot image, by that of its root."""


class Recorder:
    """`device` is the boot partition; None: nothing is recorded. No fault of the disk is one of PID 1's."""

    def __init__(self, device: str | None, update: str = "", boot: str = "") -> None:
        self._device = device
        self._head = f"{update} {boot}"
        self._next = FIRST

    def note(self, kind: str, text: str = "") -> None:
        """One more record, on the disk when this returns; none where the room is used up."""
        self._put(kind, text, LAST_WORDS)

    def note_end(self, lived_ms: int, how: str, stderr: bytes) -> None:
        """A daemon's end, with the end of what it had written to standard error."""
        self.note("ended", f"{lived_ms} {how}\n{stderr[-STDERR_BYTES:].decode('utf-8', 'replace')}")

    def tell_the_kernel(self) -> None:
        """Into its log, so that its last words say which boot they are of."""
        if self._device is None:
            return
        try:
            fd = os.open(KERNEL_LOG, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, f"<5>capsule: PID 1 in the tentative boot of update {self._head}\n".encode())
            finally:
                os.close(fd)
        except OSError:
            pass  # then they are likely its own, and not certainly

    def note_last(self, text: str) -> None:
        """Why the machine is sent back: there is always room for it."""
        self._next = max(self._next, LAST_WORDS)
        self._put("returning", text, SECTORS)

    def _put(self, kind: str, text: str, end: int) -> None:
        at_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        record = MAGIC + f"{self._head} {at_ms} {kind} {text}".encode("utf-8", "replace").replace(b"\0", b"?")
        record = record[: RECORD_BYTES - 1] + b"\n"
        sectors = -(-len(record) // SECTOR)
        if self._device is None or self._next + sectors > end:
            return
        try:
            self._write(record.ljust(sectors * SECTOR, b"\0"))
        except OSError:
            self._device = None  # a disk that takes no record takes no second one
            return
        self._next += sectors

    def _write(self, record: bytes) -> None:
        assert self._device is not None
        fd = os.open(self._device, os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC)
        try:
            begin = os.lseek(fd, 0, os.SEEK_END) - AREA_BYTES
            if begin < 0 or not _is_ours(os.pread(fd, AREA_BYTES, begin)):
                raise OSError
            os.pwrite(fd, record, begin + self._next * SECTOR)
        finally:
            os.close(fd)


def _is_ours(area: bytes) -> bool:
    """Whether there is nothing in it, or records: the end of an image that is too large looks otherwise."""
    return not area.strip(b"\0") or area.startswith(MAGIC) or area[FIRST * SECTOR :].startswith(MAGIC)


def of_this_boot(command_line: str = COMMAND_LINE, root_device: str = ROOT_DEVICE, boot_id: str = BOOT_ID) -> Recorder:
    """Of a tentative boot; any other records nothing."""
    try:
        words = dict(word.partition("=")[::2] for word in _read(command_line).split())
        update, root, boot = words.get("capsule.update", ""), _read(root_device), _read(boot_id)
    except OSError:
        return Recorder(None)
    tentative = words.get("capsule.slot") != words.get("capsule.default")
    number = _BOOT_OF_ROOT.get(root[-1:])
    if not update.isdecimal() or not tentative or number is None:
        return Recorder(None)
    return Recorder(root[:-1] + number, update, boot)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()

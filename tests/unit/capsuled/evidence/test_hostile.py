"""What a bad release can leave behind, which is anything: it is gathered all the same, and fits into the journal."""

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
import pytest

from capsuled.evidence.gathering import Places, gather
from capsuled.evidence.last_words import marker
from init.recorder import AREA_BYTES, SECTOR
from journal.codec import encode
from journal.events import UpdateEvidenceFound, UpdateRolledBack
from journal.evidence import Evidence, FailedCheck
from projections.causes import judge

T = TypeVar("T")
SECRET = "hunter2"
ENTRY_BYTES = 512 << 10
HUGE = "9" * 5_000
FILES = ("begun.json", "alive", "returning.json", "marks", "kernel")
RECORD = b"CAPSULE1 41 boot-id 5000 %s\n"


class Left:
    """A disk on which a tentative boot of update 41 left something in its places."""

    def __init__(self, place: Path) -> None:
        self.kept = place / "evidence/41"
        self.words = place / "evidence/last-words/next"
        self.logs = place / "logs"
        self.partition = place / "boot_b"
        self.watchdog = place / "watchdogs/watchdog0"
        for one in (self.kept, self.words, self.logs, self.watchdog):
            one.mkdir(parents=True)
        self.partition.write_bytes(bytes(AREA_BYTES))
        self.kept_is(begun=begun())

    def kept_is(self, **files: bytes) -> None:
        for name, content in files.items():
            (self.kept / {"begun": "begun.json", "returning": "returning.json"}.get(name, name)).write_bytes(content)

    def recorded(self, text: bytes) -> None:
        self.partition.write_bytes((RECORD % text).ljust(AREA_BYTES, b"\0")[:AREA_BYTES])

    def found(self) -> Evidence:
        """And it fits into the journal, without a secret."""
        places = Places(self.kept, self.partition, self.words, "efi", self.logs, self.watchdog.parent)
        found = gather(41, "slot_b", "taken", places, now_ns=lambda: 9, wall_ns=lambda: 1_800_000_000 << 30)
        verdict = judge(found)
        entries = (
            encode(UpdateEvidenceFound(41, found)),
            encode(UpdateRolledBack(41, verdict.cause, "", verdict.confidence, verdict.rests_on, verdict.looked_for)),
        )
        for one in entries:
            assert len(one) < ENTRY_BYTES
            assert SECRET.encode() not in one
        return found


def begun(boot: str = "boot-id", **more: Any) -> bytes:
    told = {"boot": boot, "slot": "slot_b", "release": "0.2.0", "pstore": "efi", "emptied": True, **more}
    return msgspec.json.encode(told)


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)


def test_a_number_of_any_length_is_none(left: Left) -> None:
    left.kept_is(marks=f"{HUGE} state\n5 API\n".encode())
    assert [one.name for one in left.found().marks] == ["API"]


@pytest.mark.parametrize("record", [f"41 boot-id {HUGE} init", f"41 boot-id 5 ended {HUGE} exit 1"])
def test_a_records_number_of_any_length_is_none(left: Left, record: str) -> None:
    """A record has 4,096 bytes by the one who writes it, and ends where the next begins by the one who reads it."""
    left.partition.write_bytes(f"CAPSULE1 {record}\n".encode().ljust(AREA_BYTES, b"\0"))
    found = left.found()
    assert not found.marks and {one.lived_ms for one in found.ends} <= {0}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("alive", b'{"alive_ms":18446744073709551616,"at":1}'),
        ("alive", b'{"alive_ms":1,"at":18446744073709551616}'),
        ("alive", b'{"alive_ms":1,"at":-9223372036854775809}'),
        ("alive", b'{"alive_ms":-1,"at":1}'),
        ("returning", b'{"cause":"operator","at_ms":18446744073709551616}'),
        ("returning", b'{"cause":"operator","at_ms":%s}' % HUGE.encode()),
    ],
)
def test_a_number_that_no_entry_takes_costs_its_file(left: Left, name: str, content: bytes) -> None:
    left.kept_is(**{name: content})
    found = left.found()
    assert (found.alive_ms, found.gap_ms, found.returning) == (0, None, None)
    assert any(f"{name}" in one.said and "cannot be read" in one.said for one in found.looked)


def test_an_end_whose_life_no_entry_takes_is_an_end_all_the_same(left: Left) -> None:
    left.recorded(b"ended 18446744073709551616 exit 1")
    (end,) = left.found().ends
    assert (end.how, end.lived_ms) == ("exit 1", 0)


def test_what_a_health_check_said_is_bounded_and_keeps_no_secret(left: Left) -> None:
    failing = (FailedCheck(f"workload/password={SECRET}", f"password={SECRET} " + "x" * 1_700),) * 100
    left.kept_is(returning=msgspec.json.encode({"cause": "unhealthy-workload", "at_ms": 5, "failing": failing}))
    found = left.found()
    assert found.failed and all(len(one.message) <= 400 for one in found.failed)
    message = "x" * 1_700_000
    left.kept_is(returning=msgspec.json.encode({"cause": "operator", "at_ms": 5, "failing": [{"name": message}]}))
    assert left.found().failed == ()


@pytest.mark.parametrize("boot", [f"password={SECRET}", "../../etc/x", "x" * 65, "a\0b", "a\nb", ""])
def test_a_boots_id_that_is_none_names_no_file(left: Left, boot: str) -> None:
    left.kept_is(begun=begun(boot, release=f"token={SECRET}", watchdog=f"secret={SECRET}", pstore=f"secret={SECRET}"))
    left.recorded(f"init\nCAPSULE1 41 {boot} 5 init".encode())
    assert left.found().boot in ("", "boot-id")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda file: os.symlink("/dev/zero", file),
        lambda file: os.symlink(file, file),
        lambda file: os.truncate(os.open(file, os.O_CREAT | os.O_WRONLY), 1 << 40),
    ],
    ids=["pipe", "directory", "device", "circle", "a terabyte"],
)
def test_what_is_no_plain_file_is_not_waited_for(left: Left, name: str, make: Callable[[Path], None]) -> None:
    file = left.kept / name
    file.unlink(missing_ok=True)
    make(file)
    found = left.found()
    assert name in ("marks", "kernel") or any("cannot be read" in one.said for one in found.looked)


@pytest.mark.parametrize("number", [errno.EUCLEAN, errno.EIO])
def test_a_file_system_that_is_damaged_costs_the_place_and_says_so(left: Left, number: int) -> None:
    with failing(lambda: number):
        found = left.found()
    unusable = {one.source: one.said for one in found.looked if not one.usable}
    assert os.strerror(number) in unusable["recorder"] and os.strerror(number) in unusable["perm"]
    assert judge(found).cause == "unknown"


@pytest.mark.parametrize(
    "line", ["a." * 800, "password=" * 200, "token'" * 300, "A1/" * 500, "://a:" * 300, "é\x00" * 800]
)
def test_no_line_takes_long(left: Left, line: str) -> None:
    left.kept_is(kernel=(f"{line}\n".encode() * 200)[: 256 << 10], marks=f"5 {line}\t{line}\n".encode() * 100)
    began = time.monotonic()
    left.found()
    assert time.monotonic() - began < 10


# --- anything at all -------------------------------------------------------------------------------------------------


@contextmanager
def failing(fault: Callable[[], int]) -> Iterator[None]:
    """Every look at the disk fails with the number that `fault` says, unless that is 0."""

    def refused(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if number := fault():
                raise OSError(number, os.strerror(number))
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for place, names in ((Path, ("open", "lstat", "is_dir", "iterdir", "glob")), (os, ("open", "pread", "fstat"))):
            for name in names:
                patch.setattr(place, name, refused(getattr(place, name)))
        yield


NUMBERS = (0, 1, -1, 5_000, 1 << 53, (1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 63) - 1, int("9" * 4_000), 1.5, None, True)
WORDS = (
    "", "boot-id", f"password={SECRET}", "x" * 2_000, "\0", "\ud800", "\x85", "API", "state", "workload/web", "../..",
    marker(41, "slot_b"), "Kernel panic - not syncing: x", "operator", "unhealthy-workload", "efi", "i6300ESB timer",
    "slot_b", "initramfs failed", "window-over", "reboot", 'File "x", line 1, in y', "Traceback (most recent call last):",
)  # fmt: skip
DIGITS = (HUGE, "٣", "²", "1e9", "", "-1", "32")
KINDS = ("init", "failed", "said", "ended", "kernel", "returning", "ending", "initramfs", "root", "x")
HEADS = ("Panic#1 Part1", "Panic#1 Part2", f"Oops#{HUGE} Part{HUGE}", "Oops#٣ Part1", "Oops#1 Part1", "")
FAULTS = (0, 0, 0, errno.EIO, errno.EUCLEAN, errno.ENOENT, errno.EACCES)
SHAPES: dict[str, tuple[str, ...]] = {
    "begun.json": ("boot", "slot", "release", "pstore", "emptied", "watchdog"),
    "alive": ("alive_ms", "at"),
    "returning.json": ("cause", "at_ms", "failing"),
}


class Whim:
    """Anything, chosen by a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)

    def now_and_then(self) -> bool:
        return self._chance.random() < 0.2

    def of(self, them: Sequence[T]) -> T:
        return self._chance.choice(them)

    def word(self) -> str:
        if self.now_and_then():
            return "".join(chr(self._chance.choice((9, 10, 0x41, 0x85, 0x20AC, 0x1F600))) for _ in range(9))
        return self.of(WORDS)

    def digits(self) -> str:
        return self.of(DIGITS) if self.now_and_then() else str(self.of(NUMBERS))

    def value(self, field: str) -> Any:
        """What may stand there, or does not."""
        if self.now_and_then():
            return self.of((*NUMBERS, [], {}, [[["x"]]], "x" * (300 << 10)))
        if field == "failing":
            return [{"name": self.word(), "message": self.word()} for _ in range(self.of((0, 1, 3, 200)))]
        return self.of(NUMBERS) if field in ("alive_ms", "at", "at_ms") else True if field == "emptied" else self.word()

    def noise(self) -> bytes:
        return self.of((b"", b"[" * 5_000, b"\xff{", self._chance.randbytes(60), bytes(4_096), b"CAPSULE1 41 "))

    def lines(self, *kinds: Callable[[], str]) -> bytes:
        some = (" ".join(kind() for kind in kinds) for _ in range(self.of((0, 1, 4, 40))))
        return "\n".join(some).replace(" ~", "\t").encode("utf-8", "replace")

    def file(self, name: str) -> bytes | None:
        if self.now_and_then():
            return self.of((None, self.noise()))
        if name in SHAPES:
            # By a writer that knows no bounds: ours would refuse such numbers and such text.
            return json.dumps({field: self.value(field) for field in SHAPES[name]}).encode("utf-8", "surrogatepass")
        return (
            self.lines(self.digits, self.word, lambda: f"~{self.word()}") if name == "marks" else self.lines(self.word)
        )

    def record(self) -> bytes:
        text = (
            f"CAPSULE1 41 {self.word()} {self.digits()} {self.of(KINDS)} {self.digits()} {self.word()}\n{self.word()}"
        )
        return self.noise() if self.now_and_then() else text.encode("utf-8", "replace")


def left_by(whim: Whim, place: Path) -> Left:
    left = Left(place)
    for name in FILES:
        content = whim.file(name)
        if content is None:
            (left.kept / name).unlink(missing_ok=True)
        else:
            (left.kept / name).write_bytes(content)
    records = (whim.record() for _ in range(whim.of((0, 1, 5, 30))))
    area = b"".join(one.ljust(-(-len(one) // SECTOR) * SECTOR, b"\0") for one in records)
    left.partition.write_bytes(area.ljust(AREA_BYTES, b"\0")[:AREA_BYTES])
    for number in range(whim.of((0, 1, 3))):
        part = f"{whim.of(HEADS)}\n".encode() + whim.lines(whim.word)
        (left.words / f"dmesg-efi_pstore-{number}").write_bytes(part)
    (left.watchdog / "identity").write_bytes(whim.lines(whim.word))
    (left.watchdog / "bootstatus").write_text(whim.digits())
    (left.logs / "boot-id.log").write_bytes(whim.lines(whim.word))
    return left


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_left_it_is_gathered_and_fits_into_the_journal(tmp_path: Path, seed: int) -> None:
    whim = Whim(seed)
    left = left_by(whim, tmp_path)
    faults = iter([whim.of(FAULTS) for _ in range(40)] if whim.now_and_then() else [])
    with failing(lambda: next(faults, 0)):
        left.found()

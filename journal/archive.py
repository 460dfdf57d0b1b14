"""Export and import: a journal as one compressed, self-describing, verified file.

    "capsule-archive 1\\n" | JSON line (journal id, release, first and last seq, head hash) | zlib stream of
    (u8 stream number, u32 length, stored entry)* and a closing record (255, length, JSON with counts and head)

Where the fold begins with a base (journal/retention.py) the first line is `capsule-archive 2`, which earlier releases
refuse, and the first record is that: (2, length, u64 seq and the snapshot as it is stored).

What is exported are the stored bytes, so the chain and every hash in it can be proven without any release of Capsule.
"""

import contextlib
import errno
import os
import shutil
import zlib
from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import lmdb
import msgspec

from journal.durable import settle
from journal.entry import UNREADABLE, MalformedEntry, Stored, check, genesis, unpack
from journal.environment import IMPORTED, Environment, hold, left_behind
from journal.errors import ForeignDirectory, HistoryCut, JournalError, JournalFull
from journal.former import FORMER_MOST
from journal.gaps import Gaps
from journal.head import Head
from journal.reader import LAST, Reader
from journal.release import RELEASE
from journal.retention import set_base
from journal.snapshot import Snapshot, pack_snapshot, unpack_snapshot

MAGIC = b"capsule-archive 1\n"
BASE_MAGIC = b"capsule-archive 2\n"
STREAMS = ("facts", "audit")
_BASE = 2
_CLOSING = 255
_NUMBERS = (0, 1, _BASE, _CLOSING)
LEVEL = 6
_SOME = 512
"""Entries that are compressed at a time: what a reader takes from the store in one go."""
_FRAME_BYTES = 5
_INSIDE = "the archive is cut or altered inside a record"
STATE_BYTES_MOST = 1 << 28
ENTRY_BYTES_MOST = 64 << 20
"""A call is 4 MiB at most, and what it leads to is one entry: even a rollback of everything at once has room here. A
file that asks for more is to cost no memory."""
_BLOCK = 1 << 16
_INFLATED = 1 << 20
"""So much is unpacked at a time, however small it was packed."""
_BATCH = 20_000
BATCH_BYTES = 16 << 20
"""So many entries in a transaction, which is two barriers of the disk, or about so many bytes of them: all of a batch
is in memory at once."""

_LEFT_BYTES = 1 << 20
"""Of a disk that has less, a write that failed may have been cut short."""


class BadArchive(JournalError):
    """Raised when an archive is cut, altered, or not one at all."""

    reason = "BAD_ARCHIVE"


class Title(msgspec.Struct, frozen=True, omit_defaults=True):
    """The archive's first line: whose memory this is. `part`: more entries follow the last where it was taken, and what
    announces a removal may stand among these; None in an archive of a release that did not say."""

    journal_id: str
    release: str
    first_seq: int
    last_seq: int
    head_hash: str
    part: bool | None = None


class Closing(msgspec.Struct, frozen=True):
    """The archive's last record: without it the file is cut."""

    facts: int
    audit: int
    head_hash: str


def export(reader: Reader, journal_id: bytes, upto: int = LAST, *, part: bool = False) -> Iterator[bytes]:
    """The archive of everything up to `upto`, in blocks; `part`: that is less than was there when it was asked for.
    Raises HistoryCut where something is forgotten meanwhile."""
    last = reader.newest(1, before=upto)
    head = last[-1] if last else None
    head_hash = "" if head is None else head.hash.hex()
    head_seq = 0 if head is None else head.header.seq
    began = places, first = reader.beginnings()
    title = Title(journal_id.hex(), RELEASE, first, head_seq, head_hash, part or reader.breaks_off)
    places = tuple(seq for seq in places if seq <= head_seq)  # the fold up to there needs no later one
    yield (BASE_MAGIC if places else MAGIC) + msgspec.json.encode(title) + b"\n"
    squeeze = zlib.compressobj(LEVEL)
    for base in map(reader.base, places):  # a release that knows of one alone takes the last
        if base is not None:
            yield squeeze.compress(_record(_BASE, base.seq.to_bytes(8, "big") + pack_snapshot(base)))
    counts = {"facts": 0, "audit": 0}
    for number, stream in enumerate(STREAMS):
        places = (first, head_seq) if stream == "facts" else (1, LAST)
        values = reader.values(*places, stream=stream)
        begin = end = b""
        while some := list(islice(values, _SOME)):
            begin, end = begin or some[0], some[-1]
            counts[stream] += len(some)
            if block := squeeze.compress(b"".join(_record(number, value) for value in some)):
                yield block
        if stream == "audit" and _passed(reader, begin, end, counts[stream]):
            raise HistoryCut("reads were forgotten while they were exported, as newer ones came: export it again")
    if reader.beginnings() != began:
        raise HistoryCut("history was cut, or something removed from it, while it was exported: export it again")
    yield squeeze.compress(_record(_CLOSING, msgspec.json.encode(Closing(**counts, head_hash=head_hash))))
    yield squeeze.flush()


def _passed(reader: Reader, begin: bytes, end: bytes, count: int) -> bool:
    """Whether the ring's front went by while it was read from `begin` to `end`: an archive with a gap is none."""
    if not count:
        return False
    try:
        first, last = (unpack(value).header.seq for value in (begin, end))
    except MalformedEntry:
        return False  # what is damaged is taken along as it is
    return count < last - first + 1 and first < reader.first_seq("audit")


def _record(number: int, value: bytes) -> bytes:
    return bytes([number]) + len(value).to_bytes(4, "big") + value


class Archive:
    """A reader of an archive: `title` and `journal_id` say whose it is, `entries` checks the chains on the way.
    `bases`, the oldest first, are what a fold may begin with beside the empty state: known with the first entry. Once
    all were read `unsaid` has, in words, what the history lacks without saying why."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.bases: list[Snapshot] = []
        self.unsaid: tuple[str, ...] = ()
        if source.read(len(MAGIC)) not in (MAGIC, BASE_MAGIC):
            raise BadArchive("this is no journal archive: its first line is not `capsule-archive 1`")
        try:
            self.title = msgspec.json.decode(_line(source), type=Title)
            self.journal_id = bytes.fromhex(self.title.journal_id)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadArchive(f"the archive's title cannot be read: {error}") from error

    @property
    def base(self) -> Snapshot | None:
        """The newest."""
        return self.bases[-1] if self.bases else None

    def base_upto(self, upto: int) -> Snapshot | None:
        """The newest at or before entry `upto`."""
        return next((base for base in reversed(self.bases) if base.seq <= upto), None)

    def entries(self) -> Iterator[tuple[str, Stored]]:
        """Every entry, in order, each checked against the one before. Raises BadArchive at the first that is wrong."""
        return ((stream, stored) for stream, stored, _ in self.proven())

    def proven(self) -> Iterator[tuple[str, Stored, bytes]]:
        """The same, with what is stored of each."""
        links: dict[str, tuple[int, bytes]] = {}
        gaps = Gaps(1, ())
        counts = dict.fromkeys(STREAMS, 0)
        closing: Closing | None = None
        for number, value in _records(self._source):
            if number == _CLOSING:
                closing = _closing(value)
                continue
            if number == _BASE:
                self._take(_base(value))
                continue
            stream = STREAMS[number]
            try:
                stored = unpack(value)
            except MalformedEntry as error:
                raise BadArchive(f"an entry of the archive cannot be read: {error}") from error
            if stream == "facts" and stream not in links:
                gaps = self._gaps(stored.header.seq)
            seq, prev = links.get(stream) or self._begin(stream, stored)
            wrong = check(stored, seq, prev) or (gaps.take(stored) if stream == "facts" else None)
            if wrong is not None:
                raise BadArchive(wrong)
            links[stream] = (seq + 1, stored.hash)
            counts[stream] += 1
            yield stream, stored, value
        if closing is None or (closing.facts, closing.audit) != (counts["facts"], counts["audit"]):
            raise BadArchive("the archive is cut: its closing record is missing or counts other entries")
        behind, head = links.get("facts", (1, b""))
        if behind - 1 != self.title.last_seq:
            raise BadArchive(f"the archive ends at entry {behind - 1}, and its title says {self.title.last_seq}")
        if not closing.head_hash == self.title.head_hash == head.hex():
            raise BadArchive("the archive's head is not the one it names")
        lacks = (wrong for _, wrong in (*gaps.unannounced(), *gaps.unvouched()))
        self.unsaid = tuple(filter(None, (gaps.lost(), *lacks)))

    def _gaps(self, first: int) -> Gaps:
        """Of the facts, which begin with this entry; what the fold may begin with came before it."""
        gaps = Gaps(first, [Head(base.seq, base.head) for base in self.bases])
        if first != self.title.first_seq:
            raise BadArchive(f"the archive begins at entry {first}, and its title says {self.title.first_seq}")
        return gaps

    def _begin(self, stream: str, stored: Stored) -> tuple[int, bytes]:
        seq = stored.header.seq
        if seq == 1:
            return seq, genesis(self.journal_id)
        heads = (base.head for base in self.bases if stream == "facts" and seq == base.seq + 1)
        return seq, next(heads, stored.header.prev)

    def _take(self, base: Snapshot) -> None:
        if len(self.bases) > FORMER_MOST or (self.bases and base.seq <= self.bases[-1].seq):
            raise BadArchive("the states that the archive begins with are not in order, or too many")
        self.bases.append(base)


def _closing(value: bytes) -> Closing:
    try:
        return msgspec.json.decode(value, type=Closing)
    except UNREADABLE as error:
        raise BadArchive(f"the archive's closing record cannot be read: {error}") from error


def _base(value: bytes) -> Snapshot:
    base = unpack_snapshot(int.from_bytes(value[:8], "big"), value[8:])
    if base is None:
        raise BadArchive("the state that the archive begins with is not as it was written")
    return base


def _line(source: BinaryIO) -> bytes:
    line = source.readline(1 << 16)
    if not line.endswith(b"\n"):
        raise BadArchive("the archive's title is cut")
    return line


def _records(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The records of the zlib stream, which must come to its own end, its checksum included, and be all there is."""
    inflate, ready = zlib.decompressobj(), bytearray()
    while block := source.read(_BLOCK):
        while block:
            try:
                ready += inflate.decompress(block, _INFLATED)
            except zlib.error as error:
                raise BadArchive(f"the archive is altered: {error}") from error
            if inflate.unused_data:
                raise BadArchive("the archive goes on behind its end")
            block = inflate.unconsumed_tail
            at, end = 0, len(ready)
            with memoryview(ready) as view:
                while end - at >= _FRAME_BYTES:
                    number, length = view[at], int.from_bytes(view[at + 1 : at + _FRAME_BYTES], "big")
                    if number not in _NUMBERS or length > (STATE_BYTES_MOST if number == _BASE else ENTRY_BYTES_MOST):
                        raise BadArchive(_INSIDE)
                    stop = at + _FRAME_BYTES + length
                    if stop > end:
                        break
                    yield number, bytes(view[at + _FRAME_BYTES : stop])
                    at = stop
            del ready[:at]
    if ready or not inflate.eof:
        raise BadArchive(_INSIDE)


def import_archive(source: BinaryIO, directory: Path) -> Title:
    """Make the journal of an archive in `directory`, which must hold none. It is made apart, and gets its name when it
    is whole: whatever cuts it off leaves no journal that lacks entries, and the next try clears what is left. On a bad
    archive nothing is left of it, nor where the disk has no room for it.

    Raises BadArchive, ForeignDirectory, JournalLocked and JournalFull.
    """
    if (directory / "data.mdb").exists():
        raise ForeignDirectory(f"{directory} holds a journal already: import into an empty directory")
    if left := left_behind(directory):
        raise ForeignDirectory(
            f"{directory} holds {' and '.join(left)} of a journal whose data.mdb is gone, which would be no part of "
            "this one: import into an empty directory, or move them away"
        )
    archive = Archive(source)
    made = not directory.exists()
    try:
        with hold(directory):
            try:
                _make(archive, directory / IMPORTED)
                settle(directory / IMPORTED / "data.mdb", directory / "data.mdb")
            except BaseException:
                _undo(directory)
                raise
            finally:
                shutil.rmtree(directory / IMPORTED, ignore_errors=True)
    except BaseException as error:
        full = _is_full(error, directory)
        if made:
            with contextlib.suppress(OSError):  # it may not have come to be, or be another's meanwhile
                directory.rmdir()
        if full:
            raise _no_room(directory) from error
        raise
    return archive.title


def _make(archive: Archive, scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    environment = Environment(scratch, journal_id=archive.journal_id)
    try:
        for batch in _batches(archive.proven()):
            environment.make_room(sum(len(value) + 1024 for _, _, value in batch) * 2 + (2 << 20))
            with environment.lmdb.begin(write=True) as txn:
                for stream, run in groupby(batch, key=itemgetter(0)):
                    pairs = [(stored.header.seq.to_bytes(8, "big"), value) for _, stored, value in run]
                    with txn.cursor(environment.db[stream]) as cursor:
                        cursor.putmulti(pairs, append=True)
        for base in archive.bases:
            set_base(environment, base, cut=False, excised=())
    finally:
        environment.close()


def _is_full(error: BaseException | None, directory: Path) -> bool:
    """Whether it, or what it came of, is a disk that takes no more. LMDB takes a write that was cut short for a fault
    of the disk, and has no word for a quota."""
    match error:
        case None:
            return False
        case OSError(errno=errno.ENOSPC | errno.EDQUOT) | lmdb.DiskError() | lmdb.MapFullError():
            return True
        case lmdb.Error() if os.strerror(errno.EDQUOT) in str(error):
            return True
        case lmdb.Error() if os.strerror(errno.EIO) in str(error):
            disk = os.statvfs(directory)
            return disk.f_bavail * disk.f_frsize < _LEFT_BYTES
        case _:
            return _is_full(error.__cause__, directory)


def _no_room(directory: Path) -> JournalFull:
    return JournalFull(
        f"the disk under {directory} has no room for the journal of this archive: nothing was imported. Free space "
        "there, and import it again"
    )


def _undo(directory: Path) -> None:
    for name in ("data.mdb", "owner.lock"):
        (directory / name).unlink(missing_ok=True)


_Proven = tuple[str, Stored, bytes]


def _batches(entries: Iterator[_Proven]) -> Iterator[list[_Proven]]:
    batch: list[_Proven] = []
    size = 0
    for one in entries:
        batch.append(one)
        size += len(one[2])
        if len(batch) == _BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

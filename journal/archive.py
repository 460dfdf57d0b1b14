"""Export and import: a journal as one compressed, self-describing, verified file.

    "capsule-archive 1\\n" | JSON line (journal id, release, first and last seq, head hash) | zlib stream of
    (u8 stream number, u32 length, stored entry)* and a closing record (255, length, JSON with counts and head)

What is exported are the stored bytes, so the chain and every hash in it can be proven without any release of Capsule.
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from journal.entry import UNREADABLE, MalformedEntry, Stored, check, genesis, pack, unpack
from journal.environment import Environment
from journal.errors import ForeignDirectory, JournalError
from journal.reader import LAST, Reader
from journal.release import RELEASE

MAGIC = b"capsule-archive 1\n"
STREAMS = ("facts", "audit")
_CLOSING = 255
_BLOCK = 1 << 16
_BATCH = 2_000


class BadArchive(JournalError):
    """Raised when an archive is cut, altered, or not one at all."""

    reason = "BAD_ARCHIVE"


class Title(msgspec.Struct, frozen=True):
    """The archive's first line: whose memory this is."""

    journal_id: str
    release: str
    first_seq: int
    last_seq: int
    head_hash: str


class Closing(msgspec.Struct, frozen=True):
    """The archive's last record: without it the file is cut."""

    facts: int
    audit: int
    head_hash: str


def export(reader: Reader, journal_id: bytes, upto: int = LAST) -> Iterator[bytes]:
    """The archive of everything up to `upto`, in blocks."""
    last = reader.newest(1, before=upto)
    head = last[-1] if last else None
    head_hash = "" if head is None else head.hash.hex()
    head_seq = 0 if head is None else head.header.seq
    title = Title(journal_id.hex(), RELEASE, reader.first_seq(), head_seq, head_hash)
    yield MAGIC + msgspec.json.encode(title) + b"\n"
    squeeze = zlib.compressobj(6)
    counts = {"facts": 0, "audit": 0}
    for number, stream in enumerate(STREAMS):
        for stored in reader.entries(last=head_seq if stream == "facts" else LAST, stream=stream):
            counts[stream] += 1
            block = squeeze.compress(_record(number, pack(stored.header_bytes, stored.salt, stored.body)))
            if block:
                yield block
    yield squeeze.compress(_record(_CLOSING, msgspec.json.encode(Closing(**counts, head_hash=head_hash))))
    yield squeeze.flush()


def _record(number: int, value: bytes) -> bytes:
    return bytes([number]) + len(value).to_bytes(4, "big") + value


class Archive:
    """A reader of an archive: `title` and `journal_id` say whose it is, `entries` checks the chains on the way."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        if source.read(len(MAGIC)) != MAGIC:
            raise BadArchive("this is no journal archive: its first line is not `capsule-archive 1`")
        try:
            self.title = msgspec.json.decode(_line(source), type=Title)
            self.journal_id = bytes.fromhex(self.title.journal_id)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadArchive(f"the archive's title cannot be read: {error}") from error

    def entries(self) -> Iterator[tuple[str, Stored]]:
        """Every entry, in order, each checked against the one before. Raises BadArchive at the first that is wrong."""
        links: dict[str, tuple[int, bytes]] = {}
        counts = dict.fromkeys(STREAMS, 0)
        closing: Closing | None = None
        for number, value in _records(self._source):
            if number == _CLOSING:
                closing = _closing(value)
                continue
            stream = STREAMS[number]
            try:
                stored = unpack(value)
            except MalformedEntry as error:
                raise BadArchive(f"an entry of the archive cannot be read: {error}") from error
            seq, prev = links.get(stream) or self._begin(stream, stored)
            wrong = check(stored, seq, prev)
            if wrong is not None:
                raise BadArchive(wrong)
            links[stream] = (seq + 1, stored.hash)
            counts[stream] += 1
            yield stream, stored
        if closing is None or (closing.facts, closing.audit) != (counts["facts"], counts["audit"]):
            raise BadArchive("the archive is cut: its closing record is missing or counts other entries")
        head = links.get("facts", (0, b""))[1].hex()
        if not closing.head_hash == self.title.head_hash == head:
            raise BadArchive("the archive's head is not the one it names")

    def _begin(self, stream: str, stored: Stored) -> tuple[int, bytes]:
        seq = stored.header.seq
        return seq, genesis(self.journal_id) if seq == 1 else stored.header.prev


def _closing(value: bytes) -> Closing:
    try:
        return msgspec.json.decode(value, type=Closing)
    except UNREADABLE as error:
        raise BadArchive(f"the archive's closing record cannot be read: {error}") from error


def _line(source: BinaryIO) -> bytes:
    line = source.readline(1 << 16)
    if not line.endswith(b"\n"):
        raise BadArchive("the archive's title is cut")
    return line


def _records(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    stream = _Inflated(source)
    while True:
        frame = stream.read(5)
        if not frame and stream.ended:
            return
        length = int.from_bytes(frame[1:], "big")
        value = stream.read(length)
        if len(frame) < 5 or len(value) < length or (frame[0] >= len(STREAMS) and frame[0] != _CLOSING):
            raise BadArchive("the archive is cut or altered inside a record")
        yield frame[0], value


class _Inflated:
    def __init__(self, source: BinaryIO) -> None:
        self._source, self._inflate, self._ready = source, zlib.decompressobj(), b""

    @property
    def ended(self) -> bool:
        """Whether the stream came to its own end, its checksum included."""
        return self._inflate.eof

    def read(self, size: int) -> bytes:
        parts, have = [self._ready], len(self._ready)
        while have < size and (block := self._source.read(_BLOCK)):
            try:
                part = self._inflate.decompress(block)
            except zlib.error as error:
                raise BadArchive(f"the archive is altered: {error}") from error
            parts.append(part)
            have += len(part)
        joined = b"".join(parts)
        self._ready = joined[size:]
        return joined[:size]


def import_archive(source: BinaryIO, directory: Path) -> Title:
    """Make the journal of an archive in `directory`, which must hold none. On a bad archive nothing is left of it.

    Raises BadArchive and ForeignDirectory.
    """
    if (directory / "data.mdb").exists():
        raise ForeignDirectory(f"{directory} holds a journal already: import into an empty directory")
    archive = Archive(source)
    made = not directory.exists()
    environment = Environment(directory, journal_id=archive.journal_id)
    try:
        for batch in _batches(archive.entries()):
            environment.make_room(sum(len(stored.body) + 1024 for _, stored in batch) * 2 + (2 << 20))
            with environment.lmdb.begin(write=True) as txn:
                for stream, stored in batch:
                    value = pack(stored.header_bytes, stored.salt, stored.body)
                    txn.put(stored.header.seq.to_bytes(8, "big"), value, append=True, db=environment.db[stream])
    except BaseException:
        environment.close()
        for name in ("data.mdb", "lock.mdb", "owner.lock"):
            (directory / name).unlink(missing_ok=True)
        if made:
            directory.rmdir()
        raise
    environment.close()
    return archive.title


def _batches(entries: Iterable[tuple[str, Stored]]) -> Iterator[list[tuple[str, Stored]]]:
    batch: list[tuple[str, Stored]] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch

"""Builders of stored entries, made from the stable format alone: they share no code with the writer they prove."""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from journal.entry import SYSTEM, Actor, Header, Stored, encode_header, genesis, hash_body, pack, unpack
from journal.environment import Environment
from journal.events import CallAccepted, Event, type_of
from journal.follower import Follower
from journal.reader import LAST, Reader
from journal.writer import Journal
from tests.support.clock import HandClock

JOURNAL_ID = bytes(range(16))
SALT = b"salt-of-16-bytes"


@dataclass
class Ledger:
    """A chain that grows entry by entry, as any release could have written it."""

    journal_id: bytes = JOURNAL_ID
    entries: list[Stored] = field(default_factory=list)
    first_seq: int = 1
    first_prev: bytes | None = None
    release: str = "0.0.1"
    boot: str = "boot-1"
    mono: int = 0
    slot: str = ""

    @property
    def seq(self) -> int:
        """The newest entry's."""
        return self.first_seq + len(self.entries) - 1

    def add(self, event: Event, *, actor: Actor = SYSTEM, cause: int = 0, call: int = 0, at: int = 0) -> Stored:
        """An entry of this release."""
        body = msgspec.msgpack.encode(event)
        return self.forge(type_of(event), body, event.EFFECT, event.VERSION, actor=actor, cause=cause, call=call, at=at)

    def forge(
        self,
        tag: str,
        body: bytes | dict[str, Any],
        effect: Literal["must", "may"] = "must",
        version: int = 1,
        *,
        actor: Actor = SYSTEM,
        cause: int = 0,
        call: int = 0,
        at: int = 0,
    ) -> Stored:
        """An entry of any type, also of one that only another release knows."""
        content = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
        seq = self.seq + 1
        first = genesis(self.journal_id) if self.first_prev is None else self.first_prev
        prev = self.entries[-1].hash if self.entries else first
        header = Header(
            seq, at or 1_700_000_000_000_000_000 + seq, self.boot, self.mono + seq * 1_000_000, self.release, self.slot, actor, cause, call,
            tag, version, effect, hash_body(SALT, content), prev,
        )  # fmt: skip
        stored = unpack(pack(encode_header(header), SALT, content))
        self.entries.append(stored)
        return stored

    def values(self) -> list[bytes]:
        """As the store keeps them."""
        return [value_of(stored) for stored in self.entries]


def ledger(count: int) -> Ledger:
    """A chain of `count` ordinary entries."""
    made = Ledger()
    for number in range(1, count + 1):
        made.add(CallAccepted("Test.Call", (f"object-{number % 3}",)))
    return made


def value_of(stored: Stored) -> bytes:
    """The bytes that are kept."""
    return pack(stored.header_bytes, stored.salt, stored.body)


def edited(stored: Stored, **fields: Any) -> Stored:
    """The same entry with other words in its header, encoded anew: what a forger without the rest would write."""
    return unpack(pack(encode_header(msgspec.structs.replace(stored.header, **fields)), stored.salt, stored.body))


def with_body(stored: Stored, body: bytes) -> Stored:
    """The same header over another body."""
    return unpack(pack(stored.header_bytes, stored.salt, body))


def excised(stored: Stored) -> Stored:
    """The same entry without salt and body."""
    return unpack(pack(stored.header_bytes, b"", b""))


def relinked(entries: Sequence[Stored], prev: bytes) -> list[Stored]:
    """The entries numbered and chained anew: a forger who rewrites all that follows."""
    made: list[Stored] = []
    for stored in entries:
        fresh = edited(stored, prev=prev, seq=entries[0].header.seq + len(made))
        prev = hashlib.sha256(fresh.header_bytes).digest()
        made.append(fresh)
    return made


def seqs(entries: Iterable[Stored]) -> list[int]:
    """Their numbers."""
    return [stored.header.seq for stored in entries]


def keep(directory: Path, entries: Sequence[Stored], stream: str = "facts") -> None:
    """Put entries into the journal in `directory`, beside its writer: no index knows of them. What a daemon that was
    killed left in the front log stands before them."""
    environment = Environment(directory, journal_id=JOURNAL_ID)
    entries = [*map(unpack, environment.tail.view().between(1, LAST)), *entries] if stream == "facts" else entries
    try:
        with environment.lmdb.begin(write=True) as txn:
            for stored in entries:
                txn.put(stored.header.seq.to_bytes(8, "big"), value_of(stored), db=environment.db[stream])
    finally:
        environment.close()


@contextmanager
def indexed(directory: Path, ledger: Ledger) -> Iterator[Reader]:
    """A reader of a journal that has these entries, and has its index up to the last."""
    keep(directory, ledger.entries)
    environment = Environment(directory)
    reader = Reader(environment)
    follower = Follower(environment, reader)
    while follower.advance(ledger.seq):
        pass
    try:
        yield reader
    finally:
        environment.close()


def live_once(directory: Path) -> None:
    """Open and close the journal as a daemon does: its follower catches up."""

    async def main() -> None:
        await Journal(Environment(directory), HandClock()).close()

    asyncio.run(main())


def newer_release(directory: Path) -> Ledger:
    """A chain that goes on where the journal in `directory` ends, as a newer release would write it; `keep` adds it."""
    reader = Reader.open(directory)
    last = reader.last()
    reader.close()
    assert last is not None
    header = last.header
    return Ledger(first_seq=header.seq + 1, first_prev=last.hash, release="9.0.0", boot=header.boot, mono=header.mono)


def left_by_a_crash(directory: Path, left: Path, work: Callable[[Journal], Awaitable[None]]) -> None:
    """In `left`, what a journal in `directory` leaves whose daemon dies after `work`, when all of it is durable."""

    async def main() -> None:
        journal = Journal(Environment(directory), HandClock())
        try:
            await work(journal)
            await journal.durable(journal.seq)
            shutil.copytree(directory, left)
        finally:
            await journal.close()

    asyncio.run(main())

"""What survives a simulated daemon: the journal in its two places, and snapshots. And what must stay true of it.

It has the two stages of the real one: a small front log, written round and round with the real format, and behind it
what was moved. What was moved is read, proven and folded once; what only the front log holds each time anew. So whoever
judges still knows what a daemon can read no more, since it was cut or its content removed.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from random import Random

from journal.entry import HASH_BYTES, Header, Stored, check, genesis, pack
from journal.entry import unpack as unpack_anew
from journal.events import Event
from journal.frame import BLOCK_BYTES
from journal.reader import LAST
from journal.snapshot import Snapshot, pack_snapshot, unpack_snapshot
from journal.tail import Tail, tail_of
from projections.fold import fold
from projections.state import Machine
from tests.simulation.releases import Release, told

GENESIS = genesis(b"simulated")
MARK = b"simulated front!"
LOG_BYTES = 16 * BLOCK_BYTES
SNAPSHOTS_KEPT = 3

unpack = lru_cache(maxsize=4_096)(unpack_anew)
"""Every life reads the headers of all that was moved, and every judge the entries of the tail."""


class Disk:
    """The values that were moved, in order, the front log's content, and snapshots by fold version and entry."""

    def __init__(self) -> None:
        self.moved: list[bytes] = []
        """Of what was cut nothing is left but its place."""
        self.first = 1
        self.to_be_cut = 0
        self.bases: list[Snapshot] = []
        self.excised: set[int] = set()
        self.snapshots: dict[tuple[int, int], bytes] = {}
        self.full = False
        self._log = bytearray(LOG_BYTES)
        self._places: list[tuple[int, int, int]] = []
        self._tail: Tail | None = None
        self._proven = Proven()
        self._promised = (0, GENESIS)

    def keep(self, place: int, size: int, last: int) -> None:
        """A group up to entry `last` is durable there: nobody writes there before it was moved."""
        self._places.append((place, place + size, last))

    def write(self, place: int, content: bytes) -> None:
        """Bytes of the front log."""
        self._places = [one for one in self._places if one[2] > len(self.moved)]
        over = [one for one in self._places if one[0] < place + len(content) and place < one[1]]
        assert not over, f"what stands at {over} is written over before it was moved"
        self._log[place : place + len(content)] = content
        self._tail = None

    def move(self, values: Iterable[bytes]) -> None:
        """Entries out of the front log."""
        self.moved.extend(values)
        self._tail = None

    def retain(self, base: Snapshot, cut: bool, excised: Iterable[int]) -> None:
        """A transaction is durable: see journal/retention.py, `set_base`."""
        self._proven.take(self.moved[len(self._proven.entries) :])
        assert self._proven.links[base.seq] == base.head, f"what is left does not follow entry {base.seq}"
        excised = tuple(excised)
        before = 0 if cut else min((base.seq, *excised))
        self.bases = [*(one for one in self.bases if one.seq < before), base]
        self.snapshots = {key: packed for key, packed in self.snapshots.items() if key[1] >= base.seq}
        for seq in excised:
            self.moved[seq - 1] = pack(unpack(self.moved[seq - 1]).header_bytes, b"", b"")
            self.excised.add(seq)
        if cut:
            self.to_be_cut = base.seq

    @property
    def begins(self) -> int:
        """Where history begins: what is to be cut is none any more."""
        return max(self.first, self.to_be_cut + 1)

    def cut(self, most: int) -> bool:
        """Another transaction: so many entries go of those that are to be cut; False when none is left."""
        until = min(self.to_be_cut, self.first + most - 1)
        for seq in range(self.first, until + 1):
            self.moved[seq - 1] = b""
        self.first = max(self.first, until + 1)
        return self.first <= self.to_be_cut

    def promise(self, seq: int, link: bytes) -> None:
        """Entry `seq`, with this hash, was said to be durable: it is what stands there for ever, and all before it."""
        self._promised = (seq, link)

    def tail(self) -> Tail:
        """What only the front log holds: read from its bytes, once for what stands there. A life keeps it, and goes on
        with it as it writes and moves."""
        if self._tail is None:
            self._tail = tail_of(bytes(self._log), MARK, len(self.moved))
            self._tail.drop(len(self.moved))
            misfit = self._tail.misfit(len(self.moved), unpack(self.moved[-1]).hash if self.moved else GENESIS)
            assert not misfit, misfit
        return self._tail

    def values(self) -> list[bytes]:
        """All of them, as a reader has them."""
        return self.moved + self.tail().view().between(1, LAST)

    def replay(self, behind: Iterable[bytes] | None = None) -> tuple[Machine, list[tuple[Header, Event]]]:
        """Everything read, checked and folded; `behind` is what a living daemon takes for what was not moved yet, else
        it is read from the front log. Raises AssertionError on a chain that is not whole, or is not the one that was
        promised."""
        known = self._proven
        known.take(self.moved[len(known.entries) :])
        ahead = known.fork()
        ahead.take(self.values()[len(self.moved) :] if behind is None else behind)
        seq, link = self._promised
        assert len(ahead.entries) >= seq, f"entry {seq} was durable, and the journal ends at {len(ahead.entries)}"
        assert ahead.links[seq] == link, f"entry {seq} is another than the one that was durable"
        return ahead.machine, ahead.entries

    def keep_snapshot(self, fold_version: int, seq: int, content: bytes) -> None:
        """The newest few of this version; those of others go, as the real one has it."""
        packed = pack_snapshot(Snapshot(seq, unpack(self.moved[seq - 1]).hash, content))
        mine = [key for key in sorted(self.snapshots) if key[0] == fold_version][1 - SNAPSHOTS_KEPT :]
        self.snapshots = {key: self.snapshots[key] for key in mine} | {(fold_version, seq): packed}

    def damage_snapshots(self, random: Random) -> None:
        """Some are lost, of some a byte is another, and some hold what another does."""
        for key, packed in list(self.snapshots.items()):
            match random.choice(("lost", "damaged", "mixed up", "whole")):
                case "lost":
                    del self.snapshots[key]
                case "damaged":
                    at = random.randrange(len(packed))
                    self.snapshots[key] = packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]
                case "mixed up":
                    other = random.choice(list(self.snapshots.values()))
                    self.snapshots[key] = packed[: 2 * HASH_BYTES] + other[2 * HASH_BYTES :]


class Proven:
    """Entries that were read and are whole, the state that they fold to, and each one's link; links[0] is the first's
    own `prev`."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.entries: list[tuple[Header, Event]] = []
        self.links = [GENESIS]

    def fork(self) -> "Proven":
        """A copy that goes on by itself."""
        copy = Proven()
        copy.machine, copy.entries, copy.links = self.machine.fork(), self.entries.copy(), self.links.copy()
        return copy

    def take(self, values: Iterable[bytes]) -> None:
        """The next ones."""
        for value in values:
            stored = unpack(value)
            wrong = check(stored, len(self.links), self.links[-1])
            assert wrong is None, wrong
            event = told(stored)
            fold(self.machine, stored.header, event)
            self.entries.append((stored.header, event))
            self.links.append(stored.hash)


class SimulatedReader:
    """The part of journal.reader that the state and the past are told from."""

    genesis = GENESIS
    journal_id = MARK

    def __init__(self, disk: Disk, release: Release) -> None:
        self._disk = disk
        self._release = release

    def first_seq(self) -> int:
        """See Reader."""
        return min(self._disk.begins, len(self._disk.values()))

    def get(self, seq: int) -> Stored | None:
        """See Reader."""
        return next(self.entries(seq, seq), None)

    def last(self) -> Stored | None:
        """See Reader."""
        return self.get(len(self._disk.values()))

    def cursor(self) -> int:
        """See Reader. It has no index, and none is behind."""
        return len(self._disk.values())

    def of_type(self, tag: str, first: int = 1, last: int = LAST) -> Iterator[Stored]:
        """See Reader."""
        return (stored for stored in self.entries(first, last) if stored.header.type == tag)

    def newest_of_type(self, tag: str, last: int = LAST) -> Iterator[Stored]:
        """See Reader."""
        return (stored for stored in map(unpack, reversed([*self.values(last=last)])) if stored.header.type == tag)

    def needs(self, upto: int = LAST) -> dict[str, int]:
        """See Reader."""
        headers = (stored.header for stored in self.entries(last=upto))
        return {header.type: header.version for header in headers if header.effect_on_state == "must"}

    def snapshot(self, fold_version: int, upto: int = LAST) -> Snapshot | None:
        """See Reader. The newer release folds in a way of its own."""
        for version, seq in sorted(self._disk.snapshots, reverse=True):
            if version != fold_version + self._release or seq > upto:
                continue
            found = unpack_snapshot(seq, self._disk.snapshots[version, seq])
            stands_on = self.get(seq)
            if found is not None and stands_on is not None and stands_on.hash == found.head:
                return found
        return None

    def base(self, upto: int = LAST) -> Snapshot | None:
        """See Reader."""
        return next((base for base in reversed(self._disk.bases) if base.seq <= upto), None)

    def base_seqs(self) -> tuple[int, ...]:
        """See Reader."""
        return tuple(base.seq for base in self._disk.bases)

    def beginnings(self) -> tuple[tuple[int, ...], int]:
        """See Reader."""
        return self.base_seqs(), self.first_seq()

    def entries(self, first: int = 1, last: int = LAST) -> Iterator[Stored]:
        """See Reader."""
        return map(unpack, self.values(first, last))

    def values(self, first: int = 1, last: int = LAST) -> Iterator[bytes]:
        """See Reader."""
        return iter(self._disk.values()[max(first, self._disk.first) - 1 : last])

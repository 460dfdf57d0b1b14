"""What survives a simulated daemon: the journal in its two places, and snapshots. And what must stay true of it.

It has the two stages of the real one: a small front log, written round and round with the real format, and behind it
what was moved. What was moved is read, proven and folded once; what only the front log holds each time anew.
"""

from collections.abc import Iterable, Iterator
from random import Random

from journal.entry import HASH_BYTES, Header, Stored, check, genesis, unpack
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


class Disk:
    """The values that were moved, in order, the front log's content, and snapshots by fold version and entry."""

    def __init__(self) -> None:
        self.moved: list[bytes] = []
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

    def promise(self, seq: int, link: bytes) -> None:
        """Entry `seq`, with this hash, was said to be durable: it is what stands there for ever, and all before it."""
        self._promised = (seq, link)

    def tail(self) -> Tail:
        """What only the front log holds: read from its bytes, once for what stands there."""
        if self._tail is None:
            self._tail = tail_of(bytes(self._log), MARK, len(self.moved))
            self._tail.drop(len(self.moved))
            misfit = self._tail.misfit(len(self.moved), unpack(self.moved[-1]).hash if self.moved else GENESIS)
            assert not misfit, misfit
        return Tail(self._tail.oldest(LOG_BYTES), self._tail.begun, self._tail.generation)

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

    def __init__(self, disk: Disk, release: Release) -> None:
        self._disk = disk
        self._release = release

    def first_seq(self) -> int:
        """See Reader."""
        return min(1, len(self._disk.values()))

    def get(self, seq: int) -> Stored | None:
        """See Reader."""
        return next(self.entries(seq, seq), None)

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

    def base(self) -> None:
        """See Reader: nothing is forgotten here."""

    def entries(self, first: int = 1, last: int = LAST) -> Iterator[Stored]:
        """See Reader."""
        return map(unpack, self.values(first, last))

    def values(self, first: int = 1, last: int = LAST) -> Iterator[bytes]:
        """See Reader."""
        return iter(self._disk.values()[first - 1 : last])

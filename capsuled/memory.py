"""The head state at start: the newest snapshot, and the entries behind it folded on top. And the next snapshots.

    python -m capsuled.memory DIRECTORY [--to SEQ] [--state] [--tell]

folds the journal from its first entry in a process of its own, for `replay` and for a damaged journal, and prints one
JSON line; with `--state` the encoded state follows, with `--tell` a dot precedes it for every stride that was folded.
"""

import asyncio
import itertools
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from capsuled.beginning import beginning, check_base
from journal.codec import BadBody, BrokenChain, UnknownMust, decode, read, read_proven
from journal.entry import UNREADABLE, Header, MalformedEntry
from journal.errors import ContentGone, HistoryCut, JournalBusy, JournalDamaged
from journal.events import Event, type_of
from journal.reader import LAST, Reader
from journal.strides import STRIDE_ENTRIES, kept
from journal.writer import Journal
from projections.encoding import decode_state, encode_state
from projections.fold import FOLD_VERSION, replay
from projections.state import Machine
from projections.views import VIEW, state_hash

Leave = Callable[[int, bytes], None]
"""Takes a snapshot's entry and content."""
Ends = Callable[[Header, Event], bool]
"""As in answers.py, which is more than a fold in a process of its own needs."""
Proceeds = Callable[[], None]
"""Called as something comes on that may take minutes: whoever waits for it knows that it does not hang."""
TELLING = b"."
_PACKED = b"\x78"
"""How zlib begins, and no state."""


class Recalled(msgspec.Struct):
    """A folded state. `frozen_by` says which entry this release cannot read; the fold ends before it."""

    machine: Machine
    snapshot_seq: int = 0
    frozen_by: str = ""


def unheard() -> None:
    """Nobody waits."""


def recall(
    reader: Reader,
    upto: int = LAST,
    *,
    proven: bool = False,
    leave: Leave | None = None,
    proceeds: Proceeds = unheard,
) -> Recalled:
    """The state as of the journal's end, or as of entry `upto`, by way of the newest whole snapshot before it.

    `proven`: another process has just proven what is read here (verify_apart), which is not done twice. `leave` takes
    the snapshots that stay of what had to be folded: whoever asks next need not. `proceeds` hears of each stride.
    Raises BrokenChain, BadBody, MalformedEntry, and ContentGone where the fold would have to begin before what was
    removed.
    """
    found = reader.snapshot(FOLD_VERSION, upto)
    try:
        recalled = Recalled(Machine()) if found is None else Recalled(unpacked(found.content), found.seq)
    except UNREADABLE:  # a cache that cannot be read is no cache, and what it stands on was not proven, either
        found, recalled, proven = None, Recalled(Machine()), False
    if found is None:
        first, link, recalled.machine, recalled.frozen_by = beginning(reader, upto)
        if recalled.frozen_by:
            return recalled
    else:
        first, link = found.seq + 1, found.head
    values = reader.values(first, upto)
    try:
        entries = map(read, values) if proven else _whole(values, first, link)
        stand = () if leave is None else reader.snapshots(FOLD_VERSION)
        _replay_in_strides(entries, recalled.machine, proceeds, leave, stand)
    except UnknownMust as unknown:
        recalled.frozen_by = str(unknown)
    return recalled


def _replay_in_strides(
    entries: Iterator[tuple[Header, Event | None]],
    machine: Machine,
    proceeds: Proceeds,
    leave: Leave | None = None,
    stand: Iterable[int] = (),
) -> None:
    """`stand` are the entries at which there are snapshots already: among old ones not every stride's stays."""
    standing = set(stand)
    while True:
        before = machine.seq
        replay(itertools.islice(entries, STRIDE_ENTRIES), machine)
        if machine.seq == before:
            return
        proceeds()
        if leave is None or machine.seq < before + STRIDE_ENTRIES:
            continue
        standing.add(machine.seq)
        if machine.seq in kept(standing):
            leave(machine.seq, packed(machine))


def packed(machine: Machine, weigh: Callable[[int], None] = lambda size: None) -> bytes:
    """A state as a snapshot's content: many are kept, and three fifths of one are air. `weigh` is told how large the
    state itself is."""
    content = encode_state(machine)
    weigh(len(content))
    return zlib.compress(content, 1)


def unpacked(content: bytes) -> Machine:
    """The state in a snapshot, also in one that was not packed. Raises UNREADABLE."""
    try:
        return decode_state(zlib.decompress(content) if content.startswith(_PACKED) else content)
    except zlib.error as error:
        raise msgspec.DecodeError(str(error)) from error


def _whole(values: Iterable[bytes], first: int, link: bytes) -> Iterator[tuple[Header, Event | None]]:
    """Entries of a chain; one that changes the state and has no content any more ends it."""
    for header, event in read_proven(values, first, link):
        if event is None and header.effect_on_state == "must":
            raise ContentGone(header.seq)
        yield header, event


_CUT = "this call was answered before, and what it led to was cut from the journal since: what is so now is what counts"


class Recollection:
    """The past, for an answer that has to be given again."""

    def __init__(self, reader: Reader | None) -> None:
        self._reader = reader

    async def after(self, call: int) -> tuple[Machine, tuple[Event, ...]]:
        """The state right after the call whose own entry is `call`, and the events that the call led to.

        Raises JournalDamaged where what is behind the answer is not what was written.
        """
        assert self._reader is not None, "what is remembered of a call was read"
        return await asyncio.to_thread(self._after, self._reader, call)

    async def first(self, call: int, about: str | type[Event], ends: Ends) -> Event | None:
        """See Past."""
        assert self._reader is not None, "what is remembered of a call was read"
        return await asyncio.to_thread(self._first, self._reader, call, about, ends)

    def _first(self, reader: Reader, call: int, about: str | type[Event], ends: Ends) -> Event | None:
        behind = (
            reader.of_object(about, call + 1) if isinstance(about, str) else reader.of_type(type_of(about), call + 1)
        )
        try:
            for stored in behind:
                event = decode(stored)
                if event is not None and ends(stored.header, event):
                    return event
        except UnknownMust:  # the state ends there, too
            return None
        except (BadBody, MalformedEntry) as error:
            raise _untold(error) from error
        return None

    def _after(self, reader: Reader, call: int) -> tuple[Machine, tuple[Event, ...]]:
        batch = tuple(itertools.takewhile(lambda stored: stored.header.call == call, reader.entries(call)))
        if not batch or any(stored.excised for stored in batch):
            raise HistoryCut(_CUT)
        events = (decode(stored) for stored in batch[1:])
        try:
            machine = recall(reader, batch[-1].header.seq).machine
            return machine, tuple(event for event in events if event is not None)
        except ContentGone as gone:
            raise HistoryCut(_CUT) from gone
        except (BrokenChain, BadBody, MalformedEntry) as error:
            raise _untold(error) from error


def _untold(error: Exception) -> JournalDamaged:
    return JournalDamaged(
        f"this call was answered before, and its answer cannot be given again: {error}. Prove the journal with "
        "`capsulectl journal verify`"
    )


class Snapshots:
    """Takes a snapshot whenever enough entries have gathered."""

    def __init__(self, journal: Journal, seq: int, entries: int = STRIDE_ENTRIES) -> None:
        self._journal = journal
        self._seq = seq
        self._entries = entries

    def weigh(self, machine: Machine) -> None:
        """From now on there is room in the journal's reserve to let history begin with a state of this size."""
        self._journal.keep_room_for(len(encode_state(machine)))

    def consider(self, machine: Machine) -> None:
        """Called after each batch."""
        if machine.seq - self._seq >= self._entries:
            self.take(machine)

    def take(self, machine: Machine) -> None:
        """Fork now; encoded and written by the journal's thread, behind the entries it stands on."""
        if machine.seq == self._seq:
            return
        self._seq = machine.seq
        fork = machine.fork()
        self._journal.save_snapshot(FOLD_VERSION, fork.seq, lambda: packed(fork, self._journal.keep_room_for))


class Replayed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fold from the first entry. `problem` says why it ended early, `busy` why nothing was read."""

    seq: int
    view: int
    state_hash: str
    entries: int
    elapsed_us: int
    problem: str = ""
    busy: str = ""


def replay_journal(reader: Reader, upto: int = LAST, proceeds: Proceeds = unheard) -> tuple[Replayed, Machine]:
    """Fold everything again, the chain checked on the way. `proceeds` hears of each stride."""
    began = time.perf_counter()
    while True:
        beginnings = reader.beginnings()
        machine, first, problem = _folded(reader, upto, proceeds)
        # Where history was cut meanwhile it lacks what comes next. Each turn takes another cut, a call of somebody's.
        if not problem or reader.beginnings() == beginnings:
            return _replayed(began, machine, first, problem)
        del machine  # before there is another


def _folded(reader: Reader, upto: int, proceeds: Proceeds) -> tuple[Machine, int, str]:
    """The state, the first entry behind what it began with, and why it ended early."""
    machine, first, problem = Machine(), 1, ""
    try:
        first, link, machine, problem = beginning(reader, upto)
        if problem:
            return machine, first, problem
        check_base(reader, machine, first)
        _replay_in_strides(_whole(reader.values(first, upto), first, link), machine, proceeds)
    except (UnknownMust, BadBody, MalformedEntry, BrokenChain, ContentGone) as error:
        problem = str(error)
    return machine, first, problem


def _replayed(began: float, machine: Machine, first: int, problem: str) -> tuple[Replayed, Machine]:
    entries = machine.seq - first + 1 if machine.seq else 0
    elapsed_us = int((time.perf_counter() - began) * 1e6)
    return Replayed(machine.seq, VIEW, state_hash(machine), entries, elapsed_us, problem), machine


def _tell() -> None:
    sys.stdout.buffer.write(TELLING)
    sys.stdout.flush()


def _main(arguments: list[str]) -> None:
    tell = _tell if "--tell" in arguments else unheard
    upto = int(arguments[arguments.index("--to") + 1]) if "--to" in arguments else LAST
    try:
        replayed, machine = replay_journal(Reader.open(Path(arguments[0])), upto, tell)
    except JournalBusy as busy:
        replayed, machine = Replayed(0, VIEW, "", 0, 0, busy=str(busy)), Machine()
    sys.stdout.buffer.write(msgspec.json.encode(replayed) + b"\n")
    if "--state" in arguments:
        sys.stdout.buffer.write(encode_state(machine))


if __name__ == "__main__":
    _main(sys.argv[1:])

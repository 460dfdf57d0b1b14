"""Opening the memory at start: what can be trusted, what was left undone, and in which condition the daemon may run."""

import errno
import logging
import time
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from capsuled.condition import Condition, State
from capsuled.examine import replay_apart
from capsuled.memory import Proceeds, recall, unheard
from capsuled.processes import CommandFailed
from capsuled.tokens import LIFE_S, SKEW_S
from journal.clock import Clock
from journal.codec import BadBody, BrokenChain
from journal.entry import UNREADABLE, Header, MalformedEntry, Stored
from journal.environment import Environment
from journal.errors import ContentGone, JournalDamaged, JournalError, JournalReadOnly
from journal.events import (
    CallAccepted,
    CallDenied,
    CallRefused,
    DaemonStarted,
    Event,
    OperatorsReset,
    StreamClosed,
    StreamOpened,
    type_of,
)
from journal.proven import ProvenReader
from journal.reader import Reader
from journal.sequencer import Draft
from journal.sidelog import SideLog
from journal.verify import Report
from journal.writer import Journal
from projections.network import moved_to
from projections.refusals import Refusal
from projections.state import Machine

log = logging.getLogger(__name__)


class ClosedLog:
    """Stands in for the journal where nothing may be written: every append says why."""

    def __init__(self, why: JournalError) -> None:
        self._why = why

    def check(self) -> None:
        """Raises the reason."""
        raise self._why

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        """Raises the reason."""
        raise self._why

    async def durable(self, seq: int) -> None:
        """All there is has been read from the disk."""


class Memory(msgspec.Struct):
    """The opened journal. `journal` is None where it must not be written, `reader` where it cannot even be read;
    `side_log` where even that cannot be written. `believed_ns`: a moment that has passed by what the journal knows, see
    believed.py; 0 where none is known."""

    machine: Machine
    state: State
    environment: Environment | None = None
    reader: Reader | None = None
    journal: Journal | None = None
    side_log: SideLog | None = None
    snapshot_seq: int = 0
    believed_ns: int = 0

    @property
    def why(self) -> JournalError:
        """The error that a refused change carries."""
        kind = JournalDamaged if self.state.condition is Condition.DAMAGED else JournalReadOnly
        return kind(f"nothing can be changed: {self.state.message}")

    @property
    def unknown(self) -> JournalError | None:
        """Where nothing could be read: why nothing can be told of what there is. An empty list would be a lie."""
        return None if self.reader is not None else type(self.why)(f"nothing can be told: {self.state.message}")


async def open_memory(
    directory: Path,
    clock: Clock,
    proof: Awaitable[Report | None],
    read_only: str = "",
    slot: str = "",
    proceeds: Proceeds = unheard,
) -> Memory:
    """Wait for the tail's proof by a process apart, then open; `read_only` says why nothing may be written, if nothing
    may. `slot` is the system that writes, where there are several. `proceeds` is called as the opening comes on.

    The directory is held by this process (environment.hold). Raises ForeignDirectory and UnknownFormat.
    """
    report = await proof
    if report is not None and not report.whole and not _is_foreign(report.findings[0].problem):
        return await _salvaged(directory, report.findings[0].problem, slot, proceeds)
    if read_only:
        return _read_only(directory, JournalReadOnly(read_only), proceeds)
    try:
        environment = Environment(directory, held=True)
    except JournalReadOnly as error:
        return _read_only(directory, error, proceeds)
    except JournalDamaged as error:
        return await _salvaged(directory, str(error), slot, proceeds)
    reader = Reader(environment)
    try:
        recalled = recall(reader, proven=True, proceeds=proceeds)
    except (BadBody, BrokenChain, MalformedEntry, ContentGone) as error:  # altered since it was looked at, a moment ago
        environment.close()
        return await _salvaged(directory, str(error), slot, proceeds)
    memory = Memory(recalled.machine, State(), environment, reader, snapshot_seq=recalled.snapshot_seq)
    if recalled.frozen_by:
        memory.state = State(Condition.FROZEN, recalled.frozen_by)
        return memory
    try:
        memory.journal = Journal(environment, clock, slot=slot)
    except JournalReadOnly as error:
        return _read_only(directory, error, proceeds)
    except JournalDamaged as error:
        return await _salvaged(directory, str(error), slot, proceeds)
    return memory


def _is_foreign(problem: str) -> bool:
    """Not damage: the open that follows says it with the right class."""
    return "not a journal of Capsule's" in problem


def _read_only(directory: Path, error: JournalReadOnly, proceeds: Proceeds) -> Memory:
    state = State(Condition.READ_ONLY, str(error))
    log.error("%s", state.message)
    try:
        environment = Environment(directory, readonly=True)
    except JournalError:
        return Memory(Machine(), state)
    reader = Reader(environment)
    return Memory(recall(reader, proven=True, proceeds=proceeds).machine, state, environment, reader)


def open_side_log(path: Path) -> SideLog | None:
    """What stands in for a journal that cannot be written; None where it cannot be read and written, either."""
    try:
        return SideLog(path)
    except OSError as error:
        log.warning("the side log %s cannot be written: %s", path, error.strerror)
        return None


async def _salvaged(directory: Path, problem: str, slot: str, proceeds: Proceeds) -> Memory:
    """As much of the state as the chain still proves. The pages are not touched by this process. `slot` and `proceeds`:
    as above."""
    memory = Memory(Machine(), State())
    try:
        replayed, memory.machine = await replay_apart(directory, proceeds=proceeds)
        memory.environment = Environment(directory, readonly=True)
        memory.reader = ProvenReader(memory.environment, replayed.seq)
        known = f"What is shown is as of entry {replayed.seq}, the last that is proven"
    except (CommandFailed, ValueError, JournalError) as failure:
        log.error("nothing of the state could be recovered: %s", failure)
        known = "Nothing of it could be read: no workload is known here by more than its name"
    memory.state = State(
        Condition.DAMAGED,
        f"the journal at {directory} is damaged: {problem}. What runs goes on. {known}. "
        + (_MENDED_ELSEWHERE if slot else _MENDED_HERE.format(directory=directory)),
    )
    log.error("%s", memory.state.message)
    return memory


_MENDED_HERE = (
    "Look with `capsulectl journal verify --dir {directory}`, or bring an export back with `capsulectl journal import`"
)
_MENDED_ELSEWHERE = (
    "`capsulectl journal export FILE` saves what is proven; an export is then put in its place from another system, "
    "one on a USB stick (docs/os.md, From another system)"
)
"""Where the operating system is Capsule's own nobody has a shell to look with."""


def opening_events(
    machine: Machine, clock: Clock, pid: int, mode: Literal["hosted", "os"] = "hosted", halted: bool = False
) -> tuple[Event, ...]:
    """The first facts of this life: that it began, after what, and which streams its predecessor left open. `halted`:
    what ran in its boot was ended in order, whatever became of the daemon."""
    before = machine.boot
    if before is None:
        previous = "first"
    elif before.stopped:
        previous = "clean"
    else:
        previous = "crash" if before.boot == clock.boot_id or halted else "power-lost"
    lost = (
        StreamClosed(opened=seq, outcome="lost", object=one.object, method=one.method)
        for seq, one in sorted(machine.streams.items())
    )
    return (DaemonStarted(mode=mode, previous=previous, pid=pid, keeps_streaks=True), *lost)


def moved_events(machine: Machine, subnet: str) -> tuple[Event, ...]:
    """The event that gives workloads other addresses, if the bridge has another subnet than it had. Raises OSError when
    the subnet is too small for them."""
    moved = moved_to(machine, subnet)
    if isinstance(moved, Refusal):
        raise OSError(
            errno.EADDRNOTAVAIL,
            f"{moved.message}: choose a larger one, or start with the old one and delete some",
            f"--subnet {subnet}",
        )
    return () if moved is None else (moved,)


RESET_S = 300
"""A RESET_AUTH file counts for so long: one that was forgotten somewhere must not open the machine years later."""

_PAGE_ENTRIES = 1_024


def reset_asked(file: Path) -> tuple[Event, ...]:
    """The event that takes every key off, if somebody with the machine in hand has just asked for it."""
    try:
        age_s = time.time() - file.stat().st_mtime
    except OSError:
        return ()
    if 0 <= age_s + 1 <= RESET_S:
        return (OperatorsReset(reason=file.name),)
    log.warning("%s is ignored: it is %.0f s old, and counts for %d s after it was made", file, age_s, RESET_S)
    return ()


class _Token(msgspec.Struct):
    """What an entry has of the token that was used, whatever else any release puts into its body."""

    jti: str = ""
    token_exp: int = 0


_WITH_TOKENS = frozenset(type_of(kind) for kind in (CallAccepted, CallRefused, CallDenied, StreamOpened))
_token = msgspec.msgpack.Decoder(_Token)


def used_tokens(reader: Reader, now_ns: int) -> Iterator[tuple[str, str, int]]:
    """(key id, name, expiry) of the tokens of acting calls that may still be good, newest first. The name is empty
    where it cannot be read: it may be any that expires until then."""
    since_ns = now_ns - (LIFE_S + 2 * SKEW_S) * 1_000_000_000
    before = 0
    while page := reader.newest(_PAGE_ENTRIES, before=before - 1) if before else reader.newest(_PAGE_ENTRIES):
        for stored in reversed(page):
            header = stored.header
            if header.type in _WITH_TOKENS and header.actor.kind == "operator" and header.at >= since_ns:
                jti, expiry = token_of(stored)
                if expiry:
                    yield header.actor.id, jti, expiry
        before = page[0].header.seq
        # The clock may have jumped within a page, hardly over a whole one.
        if before <= 1 or all(stored.header.at < since_ns for stored in page):
            return


def token_of(stored: Stored) -> tuple[str, int]:
    """Name and expiry, 0 where there is none. Not by `decode`: it raises on what a newer release wrote, and a daemon
    that freezes at that must start, and still take no token twice."""
    header = stored.header
    try:
        found = _token.decode(stored.body) if stored.body else _Token()
    except UNREADABLE as error:
        latest = header.at // 1_000_000_000 + SKEW_S + LIFE_S
        log.warning(
            "entry %d (%s) cannot be read, nor which token was used: of the key %s none is taken that expires within "
            "%d minutes of it: %s",
            *(header.seq, header.type, header.actor.id, (SKEW_S + LIFE_S) // 60, error),
        )
        return "", latest
    return (found.jti, found.token_exp) if found.jti else ("", 0)

"""Updates while the journal takes no entry: a frozen daemon's, or one's whose journal cannot be written or trusted.

A system that cannot act must still be one that can be left, kept and replaced. So updates get an engine of their own:
it begins with what the journal says of slots, behind an entry that this release cannot read, too, and what it appends
of them stands in the side log instead. The next daemon that can write reads that in before anything else.

What is no word on a slot is not remembered, and whatever would change something else is refused as everywhere.
"""

import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from capsuled.emergency import SLOTS
from capsuled.engine import Engine
from capsuled.updates.noted import APART, KEPT, Stands, fitting, is_kept, known
from journal.clock import Clock
from journal.codec import BadBody, UnknownMust, decode, encode
from journal.entry import SYSTEM, Actor, Header, MalformedEntry
from journal.errors import JournalError, JournalFull
from journal.events import (
    BootStarted,
    CallAccepted,
    CallDenied,
    CallRefused,
    ClockStepped,
    DaemonStarted,
    Event,
    MachineEndRequested,
    StreamClosed,
    StreamOpened,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirming,
    UpdateEvidenceFound,
    UpdateHealthChanged,
    UpdateReturning,
    UpdateStaged,
    type_of,
)
from journal.reader import Reader
from journal.sequencer import THIS_BATCH, Draft
from journal.sidelog import FOR_UPDATES, MOST, Emergency, SideLog, SideLogFull
from projections.fold import fold
from projections.state import Machine
from projections.updates import HANDLERS as OF_SLOTS

log = logging.getLogger(__name__)

NOTED = (
    "the journal takes no entry: this stands in the side log, and comes into the history with the next system that can "
    "write it"
)
LIFE = 9
"""So many records an update may have behind its first one: it is staged, the boot is told in which it is armed, it is
arming and armed, its trial begins, it is confirming, goes back after all, and is kept by another hand, in two words."""
_FOLLOW = {
    UpdateBegun: LIFE,
    UpdateStaged: 8,
    UpdateArming: 6,
    UpdateArmed: 5,
    BootStarted: 4,
    UpdateConfirming: 3 + 1 + LIFE,
    UpdateReturning: 2,
}
"""How many are behind each, at most: nothing is begun whose end could not be told, and nothing kept that could not be
left again."""
_PASSING = (
    CallAccepted
    | CallRefused
    | CallDenied
    | StreamOpened
    | StreamClosed
    | ClockStepped
    | DaemonStarted
    | MachineEndRequested
    | UpdateHealthChanged
    | UpdateEvidenceFound
)


class BesideLog:
    """The engine's log. Entries are numbered as they will stand in the journal: behind its last one, and before all
    else that the next daemon has to tell."""

    def __init__(self, side_log: SideLog, seq: int, why: JournalError, clock: Clock, slot: str) -> None:
        """`seq` is the journal's last entry, and `why` the reason that it takes no other."""
        self._side_log = side_log
        self._why = why
        self._clock = clock
        self._slot = slot
        self._seq = seq
        self._here: Draft | None = None

    def check(self) -> None:
        """It takes what is a slot's."""

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        """On the disk when it returns. Raises JournalFull, and the reason for what is no slot's."""
        if not all(isinstance(draft.event, KEPT | _PASSING) for draft in drafts):
            raise self._why
        self._make_room([draft.event for draft in drafts if is_kept(draft.event)])
        first = self._seq + 1 if is_kept(drafts[0].event) else self._seq
        return [self._placed(draft, first) for draft in drafts]

    async def durable(self, seq: int) -> None:
        """It is."""

    def remember(self, machine: Machine, stands: Stands) -> None:
        """Fold into the machine what an earlier life has left in the side log."""
        for one, draft in known(self._side_log):
            if stands(one):
                continue
            self._seq = max(self._seq + 1, one.seq)
            boot = draft.event.boot if isinstance(draft.event, BootStarted) else ""
            if boot == self._clock.boot_id:
                fold(machine, self._header(DaemonStarted("os", "crash"), SYSTEM, boot), DaemonStarted("os", "crash"))
            fold(machine, self._header(draft.event, draft.actor, boot), draft.event)

    def _make_room(self, kept: Sequence[Event]) -> None:
        """For all of them, or for none; and for what may follow."""
        if not kept:
            return
        also = self._here is not None and any(isinstance(event, UpdateArming) for event in kept)
        try:
            self._side_log.make_room(len(kept) + also + _left_free(kept[-1]))
        except (SideLogFull, OSError) as error:
            raise self._full(error) from error

    def _full(self, error: Exception) -> JournalFull:
        return JournalFull(f"{self._why}. Updates are noted beside it meanwhile, which cannot be done now: {error}")

    def _placed(self, draft: Draft, first: int) -> tuple[Header, Event]:
        event = draft.event
        if isinstance(event, BootStarted):
            self._here = draft
        if isinstance(event, UpdateArming) and self._here is not None:
            # A daemon that is started again in this boot has to know that the one that is waited for is yet to come.
            self._keep(self._here)
        if is_kept(event):
            event = self._keep(draft)
        cause, call = (first if one == THIS_BATCH else one for one in (draft.cause, draft.call))
        return self._header(event, draft.actor, self._clock.boot_id, cause, call), event

    def _keep(self, draft: Draft) -> Event:
        seq = self._seq + 1
        event = fitting(draft.event, seq, self._clock.boot_id)
        told = Emergency(
            SLOTS, at=self._clock.wall_ns(), type=type_of(event), event=encode(event), seq=seq, version=event.VERSION
        )
        self._write(told, draft)
        self._seq = seq
        if isinstance(event, BootStarted):
            self._here = None
        return event

    def _header(self, event: Event, actor: Actor, boot: str, cause: int = 0, call: int = 0) -> Header:
        at, mono, kind = self._clock.wall_ns(), self._clock.mono_ns(), type(event)
        name = type_of(event)
        return Header(
            self._seq, at, boot, mono, "", self._slot, actor, cause, call, name, kind.VERSION, kind.EFFECT, b"", b""
        )  # fmt: skip

    def _write(self, record: Emergency, draft: Draft) -> None:
        who = None if draft.actor == SYSTEM else draft.actor
        try:
            try:
                self._side_log.append(replace(record, actor=who))
            except SideLogFull:
                if who is None:
                    raise
                self._side_log.append(record)  # without whose word it was it may fit
        except (SideLogFull, OSError) as error:
            raise self._full(error) from error


def _left_free(event: Event) -> int:
    """Behind what is pushed there is the way back, too."""
    if isinstance(event, UpdateBegun) and event.kind == "push":
        return FOR_UPDATES - 1
    return _FOLLOW.get(type(event), 0)


def engine_beside(
    machine: Machine,
    behind: Iterable[tuple[Header, Event | None]],
    side_log: SideLog,
    stands: Stands,
    why: JournalError,
    clock: Clock,
    slot: str,
    capabilities: frozenset[str],
) -> Engine:
    """See above. `machine` is the state as far as it is known, and stays as it is; `behind` are the entries after."""
    known = machine.fork()
    seq = machine.seq
    for header, event in behind:
        seq = header.seq
        if event is not None:
            fold(known, header, event)
    known.seq = seq
    beside = BesideLog(side_log, seq, why, clock, slot)
    beside.remember(known, stands)
    return Engine(beside, known, clock, capabilities)


def numbered_apart(machine: Machine, clock: Clock) -> Machine:
    """For one that can read nothing of the journal: its updates have numbers that none has there, nor those of another
    boot. Not by the time, which may begin anew at each."""
    apart = machine.fork()
    apart.seq = APART + zlib.crc32(clock.boot_id.encode()) * MOST
    return apart


def entries_behind(reader: Reader | None, seq: int) -> Iterator[tuple[Header, Event | None]]:
    """The entries after `seq`, those of slots with what they say."""
    if reader is None:
        return
    for stored in reader.entries(seq + 1):
        event = None
        if stored.header.type in _OF_SLOTS:
            try:
                event = decode(stored)
            except (UnknownMust, BadBody, MalformedEntry) as error:
                log.warning("%s", error)
        yield stored.header, event


_OF_SLOTS = {type_of(DaemonStarted), *map(type_of, OF_SLOTS)}

"""Updates while the journal takes no entry: a frozen daemon's, or one's whose journal cannot be written or trusted.

A system that cannot act must still be one that can be left, kept and replaced. So updates get an engine of their own:
it begins with what the journal says of slots, behind an entry that this release cannot read, too, and what it appends
of them stands in the side log instead. The next daemon that can write reads that in before anything else.

What is no word on a slot is not remembered, and whatever would change something else is refused as everywhere.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import get_args

import msgspec
from msgspec.structs import replace

from capsuled.emergency import SLOTS
from capsuled.engine import Engine
from journal.clock import Clock
from journal.codec import BadBody, UnknownMust, decode, encode
from journal.entry import SYSTEM, Actor, Header, MalformedEntry, Stored
from journal.errors import JournalError, JournalFull
from journal.events import (
    BootStarted,
    CallAccepted,
    CallRefused,
    DaemonStarted,
    Event,
    MachineEndRequested,
    StreamClosed,
    StreamOpened,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateEvidenceFound,
    UpdateHealthChanged,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    type_of,
)
from journal.reader import Reader
from journal.sequencer import THIS_BATCH, Draft
from journal.sidelog import FOR_UPDATES, Emergency, SideLog, SideLogFull
from projections.fold import fold
from projections.state import Machine
from projections.update_data import brought_back, owed_late
from projections.updates import HANDLERS as OF_SLOTS

log = logging.getLogger(__name__)

NOTED = (
    "the journal takes no entry: this stands in the side log, and comes into the history with the next system that can "
    "write it"
)
LIFE = 8
"""So many records an update may have behind its first one: it is staged, the boot is told in which it is armed, it is
arming and armed, its trial begins, it is confirming, goes back after all, and was rolled back."""
_FOLLOW = {
    UpdateBegun: LIFE,
    UpdateStaged: 7,
    UpdateArming: 5,
    UpdateArmed: 4,
    BootStarted: 3,
    UpdateConfirming: 2 + 1 + LIFE,
    UpdateReturning: 1,
}
"""How many are behind each, at most: nothing is begun whose end could not be told, and nothing kept that could not be
left again."""
APART = 1 << 32
"""No journal has so many entries."""
WORDS_BYTES = 120
"""For a message: a record is a sector."""
PLACES, PLACE_BYTES = 6, 32
"""What was looked for is told by where it would have been."""
BACK_BYTES = 270
"""All words on why the machine came back."""

_KEPT = (
    UpdateBegun
    | UpdateStaged
    | UpdateStagingFailed
    | UpdateArming
    | UpdateArmed
    | UpdateDisarmed
    | BootStarted
    | UpdateConfirming
    | UpdateConfirmed
    | UpdateReturning
    | UpdateRolledBack
)
"""A boot only where it is a trial, or right before an update is armed in it: what is here to stay may be booted more
often than there is room for."""
_PASSING = (
    CallAccepted
    | CallRefused
    | StreamOpened
    | StreamClosed
    | DaemonStarted
    | MachineEndRequested
    | UpdateHealthChanged
    | UpdateEvidenceFound
)
_BY_TYPE = {type_of(kind): kind for kind in get_args(_KEPT)}

Stands = Callable[[Emergency], bool]
"""Whether the journal has the record as the entry that it was to become: a life that ended behind the telling has not
forgotten it. Its number alone does not tell: whoever noted it may have known less of the journal than there is."""


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

    def append(self, drafts: Sequence[Draft], *, reserved: bool = False) -> Sequence[tuple[Header, Event]]:
        """On the disk when it returns. Raises JournalFull, and the reason for what is no slot's."""
        if not all(isinstance(draft.event, _KEPT | _PASSING) for draft in drafts):
            raise self._why
        self._make_room([draft.event for draft in drafts if _is_kept(draft.event)])
        first = self._seq + 1 if _is_kept(drafts[0].event) else self._seq
        return [self._placed(draft, first) for draft in drafts]

    async def durable(self, seq: int) -> None:
        """It is."""

    def remember(self, machine: Machine, stands: Stands) -> None:
        """Fold into the machine what an earlier life has left in the side log."""
        for one, draft in _known(self._side_log):
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
        if _is_kept(event):
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


def _is_kept(event: Event) -> bool:
    return isinstance(event, _KEPT) and (not isinstance(event, BootStarted) or event.tentative)


def fitting(event: Event, seq: int, boot: str) -> Event:
    """The event as a sector takes it, and as it is true in the entry of another boot: `seq` is its number here."""
    match event:
        case UpdateBegun():
            # What the present system reads is no bound for the one that comes: it reads too little as it is.
            return replace(event, uid=seq, from_level=())
        case UpdateArming():
            return replace(event, running=())  # nobody here knows how workloads are
        case BootStarted():
            return replace(event, boot=boot, release=_cut(event.release, WORDS_BYTES), kernel="")
        case UpdateStagingFailed() | UpdateDisarmed() | UpdateReturning():
            return replace(event, message=_cut(event.message, WORDS_BYTES))
        case UpdateRolledBack():
            message = _cut(event.message, PLACE_BYTES)
            rests_on = tuple(_cut(one, WORDS_BYTES) for one in event.evidence[:1])
            room = BACK_BYTES - sum(len(one.encode()) for one in (message, *rests_on))
            return replace(event, message=message, evidence=rests_on, looked_for=_places(event.looked_for, room))
        case _:
            return event


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")


def _places(looked_for: Sequence[str], room: int) -> tuple[str, ...]:
    found: list[str] = []
    for one in looked_for[:PLACES]:
        place = _cut(one.partition(":")[0], min(PLACE_BYTES, room))
        room -= len(place.encode())
        found += [place] if place else []
    return tuple(found)


def records_of(side_log: SideLog) -> Iterator[Draft]:
    """What the side log has of slots, in its order."""
    return (draft for _, draft in _known(side_log))


def _known(side_log: SideLog) -> Iterator[tuple[Emergency, Draft]]:
    """That, with its records. What this release cannot read is another's, and left out."""
    for one in side_log.records():
        event = _event_of(one)
        if event is not None:
            yield one, Draft(event, one.actor or SYSTEM)


def _event_of(one: Emergency) -> Event | None:
    kind = _BY_TYPE.get(one.type)
    if one.action != SLOTS or kind is None or one.version > kind.VERSION:
        return None
    try:
        return decode(Stored(_told(one.seq, one.type, one.version), b"", b"", one.event))
    except BadBody as error:
        log.error("a %s in the side log cannot be read: %s", one.type, error)
        return None


def _told(seq: int, name: str, version: int) -> Header:
    return Header(seq, 0, "", 0, "", "", SYSTEM, 0, 0, name, version, "must", b"", b"")


def stands_in(reader: Reader | None) -> Stands:
    """By the entries that can be read."""

    def stands(one: Emergency) -> bool:
        stored = None if reader is None else reader.get(one.seq)
        return stored is not None and (stored.header.type, stored.body) == (one.type, one.event)

    return stands


class ReadIn(msgspec.Struct, frozen=True):
    """`told`: the records of slots that stand in the journal now; `lost`: which volumes cannot be as they were to be,
    in words."""

    told: tuple[Emergency, ...] = ()
    lost: tuple[str, ...] = ()


async def read_in(engine: Engine, side_log: SideLog | None, stands: Stands) -> ReadIn:
    """What was done of updates while the journal took nothing is told to it, durably, once, and before all else, for
    the boot is judged by it; and with it what is done now of volumes, which were not to be touched meanwhile."""
    known = () if side_log is None else tuple(_known(side_log))
    drafts = [draft for one, draft in known if not stands(one)]
    lost: tuple[str, ...] = ()
    if drafts:
        back, lost = _brought_back(engine.machine, drafts)
        engine.commit([*drafts, *(Draft(event, SYSTEM) for event in back)], reserved=True)
        await engine.durable()
    return ReadIn(tuple(one for one, _ in known), lost)


def _brought_back(machine: Machine, drafts: Sequence[Draft]) -> tuple[list[Event], tuple[str, ...]]:
    after = machine.fork()
    for draft in drafts:
        fold(after, _told(after.seq + 1, type_of(draft.event), draft.event.VERSION), draft.event)
    back: list[Event] = []
    lost: tuple[str, ...] = ()
    for update in owed_late(after, [draft.event for draft in drafts]):
        events, stay = brought_back(machine, update)
        back += events
        lost += stay
    return back, lost


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
    such life."""
    apart = machine.fork()
    apart.seq = APART + clock.wall_ns() // 1_000_000_000
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

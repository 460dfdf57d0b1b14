"""The chain of entries that led to one of them: from the call, or from what happened by itself, down to it. Pure.

Every entry names the one that led to it. What no act led to (a program's own end, what a check says) follows from the
start of its run. Steps of the machinery between are left out, a run that is known to have ended is told by its end
alone, one that was ended because it was ill by what its check said, and of ends and failures that are alike the last is
told and the others are counted.
"""

from collections.abc import Iterator
from itertools import zip_longest

import msgspec
from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    CallAccepted,
    CallRefused,
    DaemonStarted,
    EffectFailed,
    EffectStarted,
    Event,
    JournalRestored,
    MachineHalted,
    NetworkDrifted,
    NetworkMoved,
    SnapshotRequested,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeLost,
    VolumeMade,
    VolumeRemoved,
    VolumeRestored,
    VolumeRestoreRequested,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadOomKilled,
    WorkloadRemoved,
    WorkloadRestartRequested,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from projections.advice import REFUSED
from projections.describe import describe
from projections.status import loss_text
from projections.taken_along import MACHINE_ENDS, TakenRun, left_behind, taken_run
from projections.words import end_text

Told = tuple[Header, Event]
Past = dict[int, Told]
"""Entries by their seq, in order: those that speak of one object, with the calls and causes that stand beside them."""

LINKS = 12
"""A chain is cut to so many links: its beginning and what came last."""

_WISHES = (
    WorkloadApplied,
    WorkloadStopRequested,
    WorkloadStartRequested,
    WorkloadRestartRequested,
    WorkloadDeleteRequested,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeRestoreRequested,
)
"""What changes how an object shall be."""

_ASKED = (*_WISHES, SnapshotRequested)
"""A snapshot leaves the object as it is: it explains what came of itself, and nothing else."""

_CALLS = {
    "MachineService.ApplyAll": ("an apply", ("workload", "volume")),
    "RollbackService.Rollback": ("a rollback", ("workload", "volume")),
    "WorkloadService.Apply": ("an apply", ("workload",)),
    "WorkloadService.Start": ("a start", ("workload",)),
    "WorkloadService.Stop": ("a stop", ("workload",)),
    "WorkloadService.Restart": ("a restart", ("workload",)),
    "WorkloadService.Delete": ("a deletion", ("workload",)),
    "VolumeService.Create": ("its creation", ("volume",)),
    "VolumeService.Resize": ("another size", ("volume",)),
    "VolumeService.Delete": ("a deletion", ("volume",)),
    "SnapshotService.Restore": ("a restore", ("volume",)),
    "VolumeDataService.Import": ("an import", ("volume",)),
}
"""Calls that are such wishes, in words, and the kinds of object that they are about."""

_HAPPENED = (
    WorkloadStarted,
    WorkloadExited,
    WorkloadLost,
    WorkloadOomKilled,
    WorkloadHealthChanged,
    WorkloadRemoved,
    VolumeMade,
    VolumeLost,
    VolumeRestored,
    VolumeRemoved,
    EffectFailed,
    MachineHalted,
    JournalRestored,
    DaemonStarted,
    NetworkMoved,
    NetworkDrifted,
)
_OF_A_RUN = (WorkloadExited, WorkloadLost, WorkloadOomKilled, WorkloadHealthChanged)


class Link(msgspec.Struct, frozen=True):
    """One entry of a chain, in words; `alike` others like it came just before."""

    seq: int
    at: int
    who: str
    text: str
    alike: int = 0


def chain(name: str, past: Past, own: Past, last: int) -> tuple[Link, ...]:
    """What led to entry `last` of the object `name`, and that entry, the oldest first. `own`: what of the past is its
    own (projections/whose.py): anything may have led to an entry, but nothing else was wanted of it."""
    story = [told for told in _upwards(past, own, last) if isinstance(told[1], _ASKED + _HAPPENED)]
    # What was wanted last belongs to it, also where something else set it going: another's change, for which it had
    # waited, or an end of its own in the moment in which it was to go.
    wish = last if last in own and isinstance(own[last][1], _WISHES) else _standing(own, last, story)
    if wish and all(told[0].seq != wish for told in story):
        story.append(own[wish])
    story = sorted(story, key=lambda told: told[0].seq)
    links = list(_counted(name, past, own, list(_shown(story, last))))
    return tuple(links if len(links) <= LINKS else links[:2] + links[2 - LINKS :])


def _shown(story: list[Told], last: int) -> Iterator[Told]:
    """Without the starts of runs that are known to have ended, and without the ends of those that were to end because
    they were ill: that they were says more. What is explained stays."""
    ill = {_run_of(event) for _, event in story if is_ailing(event)}
    ended = ill | {_run_of(event) for _, event in story if isinstance(event, WorkloadExited | WorkloadLost)}
    for told in story:
        seq, event = told[0].seq, told[1]
        over = ended if isinstance(event, WorkloadStarted) else ill if isinstance(event, WorkloadExited) else ()
        if seq == last or _run_of(event) not in over:
            yield told


def is_ailing(event: Event) -> bool:
    """Whether a check said that the run is ill, and is to end for it."""
    return isinstance(event, WorkloadHealthChanged) and event.restart


def _taken(own: Past, told: Told) -> TakenRun | None:
    """The run that went with the machine by this entry."""
    found = taken_run(own, told[0].seq + 1) if isinstance(told[1], MACHINE_ENDS) else None
    return found if found is not None and found.seq == told[0].seq else None


def _standing(own: Past, last: int, story: list[Told]) -> int:
    """The wish that stood before `last`. A restart whose run went with the machine since had been done by then."""
    wish = wished(own, last)
    taken = next((one for told in story if (one := _taken(own, told)) is not None), None)
    began = 0 if taken is None else newest(own, WorkloadStarted, run=taken.run)
    while 0 < wish < began and isinstance(own[wish][1], WorkloadRestartRequested):
        wish = wished(own, wish)
    return wish


def newest(own: Past, *kinds: type[Event], run: int = 0) -> int:
    """The newest entry of these kinds (of this run, if given) of an object's own; 0 when there is none."""
    for seq in reversed(own):
        event = own[seq][1]
        if isinstance(event, kinds) and (not run or _run_of(event) == run):
            return seq
    return 0


def wished(own: Past, before: int = 0) -> int:
    """The newest wish about an object (of those before an entry, if given) among its own; 0 when there is none."""
    return next((seq for seq in reversed(own) if not 0 < before <= seq and isinstance(own[seq][1], _WISHES)), 0)


def is_wish(event: Event | None) -> bool:
    """Whether it is a call that was to change how an object shall be, whether it was admitted or not. One that was
    refused because nothing has its name, as of a letter that was wrong, was about no object."""
    if isinstance(event, CallRefused) and event.code == "NOT_FOUND" and event.fields == ("name",):
        return False
    return isinstance(event, CallAccepted | CallRefused) and event.method in _CALLS


def refused(name: str, own: Past, kind: str = "", after: int = 0) -> tuple[CallRefused, Link] | None:
    """The newest wish about the object, if it came after that entry and was not admitted. `kind`: only of this one."""
    for seq in reversed(own):
        header, event = own[seq]
        if seq <= after or isinstance(event, _WISHES):
            return None
        if not isinstance(event, CallAccepted | CallRefused) or not is_wish(event) or name not in event.objects:
            continue
        word, kinds = _CALLS[event.method]
        if not kind or kind in kinds:
            if isinstance(event, CallAccepted):
                return None
            return event, Link(seq, header.at, _who(own, header), f"{word} was refused: {_reason(event)}")
    return None


def _reason(event: CallRefused) -> str:
    words = REFUSED.get(event.reason, "")
    more = ", ".join((event.reason, *event.fields) if words else event.fields)
    return f"{words or event.reason} ({more})" if more else words or event.reason


def _upwards(past: Past, own: Past, last: int) -> Iterator[Told]:
    """From `last` up through its causes: a cause is always older, so this ends."""
    seq = last
    while seq in past:
        told = past[seq]
        yield told
        above = _above(past, own, told)
        seq = above if above < seq else 0


def _above(past: Past, own: Past, told: Told) -> int:
    """The entry that led to this one. Of what happened by itself in a run it is the run's start; of an effect that a
    daemon took up anew after its start, the end or the wish before it."""
    header, event = told
    if isinstance(event, VolumeLost) and (restored := left_behind(own, header.seq)):
        return restored
    if header.cause in past:
        return header.cause
    if isinstance(event, _OF_A_RUN):
        return next((s for s, (_, e) in past.items() if isinstance(e, WorkloadStarted) and _same_run(e, event)), 0)
    if isinstance(event, EffectStarted):
        taken = taken_run(own, header.seq)
        earlier = next(_earlier(own, header.seq, *_ASKED, WorkloadExited, WorkloadLost), 0)
        return max(earlier, 0 if taken is None else taken.seq)
    return 0


def _earlier(past: Past, seq: int, *kinds: type[Event]) -> Iterator[int]:
    """Entries of these kinds before that one, the newest first."""
    return (one for one in reversed(past) if one < seq and isinstance(past[one][1], kinds))


def _same_run(started: WorkloadStarted, event: Event) -> bool:
    return (started.uid, started.run) == (getattr(event, "uid", 0), _run_of(event))


def _run_of(event: Event) -> int:
    return int(getattr(event, "run", 0))


def _counted(name: str, past: Past, own: Past, story: list[Told]) -> Iterator[Link]:
    """The links, those that are like the next one counted in that."""
    alike = 0
    for told, after in zip_longest(story, story[1:]):
        if after is not None and _alike(told[1], after[1]):
            alike += 1
        else:
            yield replace(_link(name, past, own, told), alike=alike)
            alike = 0


def _alike(one: Event, other: Event) -> bool:
    match one, other:
        case WorkloadExited(), WorkloadExited():
            return end_text(one) == end_text(other)
        case WorkloadHealthChanged(), WorkloadHealthChanged():
            return replace(one, run=other.run) == other
        case WorkloadLost(), WorkloadLost():
            return one.reason == other.reason
        case EffectFailed(), EffectFailed():
            return (one.effect, one.reason, one.message) == (other.effect, other.reason, other.message)
        case _:
            return False


def _link(name: str, past: Past, own: Past, told: Told) -> Link:
    header, event = told
    if isinstance(event, WorkloadApplied):  # another's, that set it going, is told as it is
        event = WorkloadApplied(tuple(item for item in event.items if item.name == name) or event.items)
    taken = _taken(own, told)
    text = describe(header, event) if taken is None else f"{name} run {taken.run} {loss_text(taken.reason)}"
    return Link(header.seq, header.at, _who(past, header), text)


def _who(past: Past, header: Header) -> str:
    """An operator by name; a local one by the login that the call gave, unverified."""
    actor = header.actor
    call = past.get(header.call)
    login = call[1].login if call is not None and isinstance(call[1], CallAccepted | CallRefused) else ""
    if actor.kind == "local" and login:
        return f"local({login})"
    return actor.name or actor.id or actor.kind

"""Which workloads go back to an earlier state, which were not there then, and which cannot go back. Pure.

Data never goes back with it: volumes stay as they are, and what is desired of them, too.
"""

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    Event,
    JournalRestored,
    MachineHalted,
    WorkloadApplied,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadStarted,
    type_of,
)
from projections.state import Machine, Workload
from projections.words import KINDS

Told = tuple[Header, Event | None]
"""An entry, or the present moment; without its event where that says nothing of how a run did, or cannot be read."""
RUN_TOLD = (WorkloadStarted, WorkloadHealthChanged, WorkloadExited, WorkloadLost)
MACHINE_ENDED = (MachineHalted, JournalRestored)
"""Runs ended with these, maybe within a boot, and no entry of their own tells it."""
_ENDS = frozenset(type_of(one) for one in (WorkloadStarted, WorkloadExited, WorkloadLost, *MACHINE_ENDED))


class Target(msgspec.Struct, frozen=True):
    """`back` shall be as they were, `gone` did not exist; `left` stay as they are, each with the reason."""

    back: tuple[Workload, ...]
    gone: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()


def target(now: Machine, then: Machine, names: Iterable[str] = ()) -> Target:
    """What a rollback to `then` means for these workloads, by default for all."""
    wanted = tuple(names) or tuple(sorted(now.workloads.keys() | then.workloads.keys()))
    back: list[Workload] = []
    gone: list[str] = []
    left: list[tuple[str, str]] = []
    for name in wanted:
        was, present = then.workloads.get(name), now.workloads.get(name)
        if was is None or was.desired == "deleting":
            gone += [name] if present is not None and present.desired != "deleting" else []
        elif why := _unable(now, was):
            left.append((name, why))
        elif not _same(present, was):
            back.append(was)
    return Target(tuple(back), tuple(gone), tuple(left))


def _same(now: Workload | None, was: Workload) -> bool:
    """Whether it is declared like that already."""
    return now is not None and (now.spec, now.labels, now.depends_on, now.desired, now.drift) == (
        was.spec,
        was.labels,
        was.depends_on,
        was.desired,
        was.drift,
    )


def _unable(now: Machine, was: Workload) -> str:
    """Why it cannot be as it was; empty when it can, as far as the state knows."""
    present = now.workloads.get(was.name)
    if present is not None and present.desired == "deleting":
        return "it is being deleted"
    if present is not None and present.kind != was.kind:
        return f"it is a {KINDS[present.kind]} now"
    for mount in was.spec.mounts:
        volume = now.volumes.get(mount.volume_name)
        if volume is None or volume.deleting:
            return f"its volume {mount.volume_name} is gone, and its data with it"
        if mount.volume_uid and volume.uid != mount.volume_uid:
            return f"its volume {mount.volume_name} is gone; what has that name now is another one"
    return ""


def missing_images(now: Machine, back: Iterable[Workload]) -> tuple[str, ...]:
    """Those of them whose image is not in the cache: it has to be fetched, by its digest."""
    return tuple(one.name for one in back if one.spec.has_image and one.spec.image.index_digest not in now.cached)


def unpinned(was: Workload) -> Workload:
    """The same with mounts that name volumes, as a manifest does: admission pins them."""
    mounts = tuple(replace(mount, volume_uid=0) for mount in was.spec.mounts)
    return replace(was, spec=replace(was.spec, mounts=mounts))


def previous(workload: Workload, declared: Iterable[int]) -> int:
    """The entry of the declaration before the present one; 0 when it has none. `declared`: entries that declared this
    incarnation otherwise than before. The state knows of those alone that changed what runs, and of these also where
    history begins later."""
    entries = sorted({*declared, *(one.seq for one in workload.revisions)})
    return entries[-2] if len(entries) > 1 else 0


def healthy(workload: Workload, told: Callable[[int], Iterable[Told]]) -> int:
    """The entry of the newest revision, of those before the present one, that did well: its check said so, or, where it
    had none, a run of it lived for as long as its restart policy calls stable. 0 when there is none. `told` gives the
    entries that speak of the workload from one on, in order, with those that ended all runs, the last one of each boot,
    and the present moment at the end; it is asked of one revision after the other, and read as far as runs of it may
    go."""
    earlier = (one.seq for one in reversed(workload.revisions) if one.seq != workload.revision)
    return next((seq for seq in earlier if _did_well(workload, seq, told(seq))), 0)


def _did_well(workload: Workload, revision: int, told: Iterable[Told]) -> bool:
    """Until a run's end is told, each entry of its boot says that it lived up to there: of one that a power cut ended
    no later one does."""
    stable_ns = None
    run, began = 0, None
    for header, event in told:
        own = event if isinstance(event, RUN_TOLD) and event.uid == workload.uid else None
        if began is not None and (isinstance(own, WorkloadStarted) or _ended(began, header, event)):
            began = None
        if began is not None and _lived(began, header, stable_ns):
            return True
        if isinstance(event, WorkloadApplied) and header.seq == revision:
            stable_ns = _stable_ns(workload.name, event)
        match own:
            case WorkloadStarted():
                if own.revision > revision:  # by then its own have ended
                    return False
                run, began = own.run, header if own.revision == revision else None
            case WorkloadHealthChanged():
                if began is not None and own.run == run and own.health == "healthy":
                    return True
            case WorkloadExited() | WorkloadLost():
                began = None if own.run == run else began
            case _:
                pass
    return False


def _lived(began: Header, seen: Header, stable_ns: int | None) -> bool:
    """A run for as long as is called stable. Monotonic readings compare within one boot alone."""
    return stable_ns is not None and seen.boot == began.boot and seen.mono - began.mono >= stable_ns


def _ended(began: Header, header: Header, event: Event | None) -> bool:
    """By then a run had, nobody knows since when. What cannot be read may say so."""
    if isinstance(event, MachineHalted):
        return event.boot in ("", began.boot)
    return isinstance(event, JournalRestored) or (event is None and header.type in _ENDS)


def _stable_ns(name: str, event: WorkloadApplied) -> int | None:
    """How long a run has to live to be called stable. None with a check: that alone says how it does."""
    item = next((one for one in event.items if one.name == name), None)
    if item is None or item.container.health is not None:
        return None
    return item.container.restart.stable_ms * 1_000_000

"""Which workloads go back to an earlier state, which were not there then, and which cannot go back. Pure.

Data never goes back with it: volumes stay as they are, and what is desired of them, too.
"""

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    Event,
    WorkloadApplied,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadStarted,
)
from projections.state import Machine, Workload
from projections.words import KINDS

Told = tuple[Header, Event | None]
"""An entry; without its event where that says nothing of how a run did."""
RUN_TOLD = (WorkloadStarted, WorkloadHealthChanged, WorkloadExited, WorkloadLost)


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
    entries that speak of the workload from one on, in order; it is asked of one revision after the other, and read as
    far as runs of it may go."""
    earlier = (one.seq for one in reversed(workload.revisions) if one.seq != workload.revision)
    return next((seq for seq in earlier if _did_well(workload, seq, told(seq))), 0)


def _did_well(workload: Workload, revision: int, told: Iterable[Told]) -> bool:
    """A run is known to have lived up to the newest entry of its boot: of one that a power cut ended no later one
    tells."""
    stable_ns = None
    began: dict[int, Header] = {}
    reached: dict[str, int] = {}
    for header, event in told:
        reached[header.boot] = header.mono
        if isinstance(event, WorkloadApplied) and header.seq == revision:
            stable_ns = _stable_ns(workload.name, event)
        if not isinstance(event, RUN_TOLD) or event.uid != workload.uid:
            continue
        if isinstance(event, WorkloadStarted):
            if event.revision > revision:  # by then its own have ended
                return False
            if event.revision == revision:
                began[event.run] = header
        elif event.run in began:
            if isinstance(event, WorkloadHealthChanged):
                well = event.health == "healthy"
            else:
                start = began[event.run]
                well = stable_ns is not None and reached[start.boot] - start.mono >= stable_ns
            if well:
                return True
    return False


def _stable_ns(name: str, event: WorkloadApplied) -> int | None:
    """How long a run has to live to be called stable. None with a check: that alone says how it does."""
    item = next((one for one in event.items if one.name == name), None)
    if item is None or item.container.health is not None:
        return None
    return item.container.restart.stable_ms * 1_000_000

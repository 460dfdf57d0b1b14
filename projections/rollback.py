"""Which workloads go back to an earlier state, which were not there then, and which cannot go back. Pure.

Data never goes back with it: volumes stay as they are, and what is desired of them, too.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from journal.entry import Header
from journal.events import WorkloadApplied, WorkloadExited, WorkloadHealthChanged, WorkloadLost, WorkloadStarted
from projections.chain import Past
from projections.state import Machine, Workload
from projections.words import KINDS


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
        was = then.workloads.get(name)
        if was is None or was.desired == "deleting":
            gone += [name] if name in now.workloads else []
        elif why := _unable(now, was):
            left.append((name, why))
        elif not _same(now.workloads.get(name), was):
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


def previous(workload: Workload) -> int:
    """The entry of the revision before the present one; 0 when it has none."""
    return workload.revisions[-2].seq if len(workload.revisions) > 1 else 0


def healthy(workload: Workload, past: Past) -> int:
    """The entry of the newest revision, of those before the present one, that did well: its check said so, or, where it
    had none, a run of it lived for as long as its restart policy calls stable. 0 when there is none. `past` has the
    entries of its revisions, too.

    A run is known to have lived up to the newest entry of its boot: of one that a power cut ended no later one tells.
    """
    revisions = {one.seq for one in workload.revisions} - {workload.revision}
    stable_ns = _stable_ns(workload.name, past)
    runs: dict[int, tuple[int, Header]] = {}
    reached: dict[str, int] = {}
    good = 0
    for header, event in past.values():
        reached[header.boot] = header.mono
        if getattr(event, "uid", 0) != workload.uid:
            continue
        if isinstance(event, WorkloadStarted):
            runs[event.run] = (event.revision, header)
        if not isinstance(event, WorkloadHealthChanged | WorkloadExited | WorkloadLost) or event.run not in runs:
            continue
        revision, began = runs[event.run]
        if isinstance(event, WorkloadHealthChanged):
            well = event.health == "healthy"
        else:
            well = revision in stable_ns and reached[began.boot] - began.mono >= stable_ns[revision]
        good = max(good, revision) if well and revision in revisions else good
    return good


def _stable_ns(name: str, past: Past) -> dict[int, int]:
    """How long a run has to live to be called stable, by each declaration of the workload that has no check: of another
    its check alone says how it does."""
    return {
        seq: item.container.restart.stable_ms * 1_000_000
        for seq, (_, event) in past.items()
        if isinstance(event, WorkloadApplied)
        for item in event.items
        if item.name == name and item.container.health is None
    }

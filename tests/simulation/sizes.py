"""What the journal tells of volumes' sizes and snapshots."""

from collections.abc import Iterable

from journal.entry import Header
from journal.events import (
    DaemonStarted,
    EffectFailed,
    Event,
    SnapshotRequested,
    SnapshotTaken,
    VolumeApplied,
    VolumeMade,
    VolumeMounted,
    VolumeRestored,
    VolumeUnmounted,
    WorkloadExited,
    WorkloadStarted,
)

Volume = tuple[str, int]
"""(name, uid)"""
Entries = Iterable[tuple[Header, Event]]


def given_up(volume: Volume, entries: Entries) -> int:
    """How many snapshots there was no room for."""
    failures = (event for _, event in entries if isinstance(event, EffectFailed) and event.effect == "TakeSnapshot")
    return sum(event.permanent and (event.name, event.uid) == volume for event in failures)


def is_left_behind_its_end(volume: Volume, entries: Entries) -> bool:
    """Whether it went back to a snapshot after the newest run on it had ended, so that nobody has it until the next one
    begins. It is called like the workload that mounts it."""
    begun = ended = restored = 0
    for header, event in entries:
        match event:
            case WorkloadStarted() if event.name == volume[0]:
                begun = header.seq
            case WorkloadExited() if event.name == volume[0]:
                ended = header.seq
            case VolumeRestored() if (event.name, event.uid) == volume:
                restored = header.seq
    return begun < ended < restored


def judge_safety(entries: Entries) -> list[str]:
    """What is kept before a restore is the volume as its workload left it: nobody has it mounted. And it is kept before:
    where there is no room for it, nothing is restored."""
    wrong: list[str] = []
    safety: set[int] = set()
    kept: dict[Volume, int] = {}
    taken: set[int] = set()
    mounted: set[Volume] = set()
    boot = ""
    for header, event in entries:
        match event:
            case DaemonStarted() if header.boot != boot:
                boot = header.boot
                mounted.clear()
            case SnapshotRequested(safety=True):
                safety.add(header.seq)
                kept[event.name, event.uid] = header.seq
            case VolumeMounted():
                mounted.add((event.name, event.uid))
            case VolumeUnmounted():
                mounted.discard((event.name, event.uid))
            case SnapshotTaken():
                taken.add(event.snapshot)
                if event.snapshot in safety and (event.name, event.uid) in mounted:
                    wrong.append(f"what volume {event.name} held before a restore was taken while it was mounted")
            case VolumeRestored() if kept.get((event.name, event.uid)) not in taken:
                wrong.append(f"volume {event.name} was restored at {header.seq}, and what it held is not kept")
    return wrong


def judge_sizes(entries: Entries) -> list[str]:
    """No volume was ever to be smaller than what it is."""
    wrong: list[str] = []
    has: dict[str, int] = {}
    for header, event in entries:
        match event:
            case VolumeApplied(created=True):
                has[event.name] = 0
            case VolumeApplied() if event.size_bytes < has.get(event.name, 0) and not event.staged:
                wrong.append(
                    f"{event.name} has {has[event.name]} bytes, and was to have {event.size_bytes} at {header.seq}"
                )
            case VolumeMade():
                has[event.name] = event.size_bytes
    return wrong

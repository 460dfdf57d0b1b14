"""What an export and an import of a volume have in the storage while they go on, by the stream that each is. Pure."""

from journal.events import Event, SnapshotDeleteRequested
from projections.state import Machine

EXPORT_METHOD = "VolumeDataService.Export"
IMPORT_METHOD = "VolumeDataService.Import"


def label_of(opened_seq: int) -> str:
    """What the snapshot is called that an export takes for itself."""
    return f"export-{opened_seq}"


def staged_of(opened_seq: int) -> str:
    """Under which name an import stages what comes."""
    return f"import-{opened_seq}"


def on_the_way(machine: Machine) -> frozenset[str]:
    """What this life stages at this moment: the streams of the one before are closed by then."""
    return frozenset(staged_of(seq) for seq, one in machine.streams.items() if one.method == IMPORT_METHOD)


def left_over(machine: Machine) -> tuple[tuple[int, Event], ...]:
    """What removes the snapshots of exports that an earlier life had begun, each with the stream that it was for."""
    left = (
        (seq, machine.volumes.get(one.object)) for seq, one in machine.streams.items() if one.method == EXPORT_METHOD
    )
    return tuple(
        (seq, SnapshotDeleteRequested(volume.name, volume.uid, one.uid))
        for seq, volume in sorted(left, key=lambda pair: pair[0])
        if volume is not None
        for one in volume.snapshots
        if one.label == label_of(seq) and not one.leaving
    )

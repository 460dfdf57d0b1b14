"""How what a call asked for of a volume ended, by the entries behind the call: it is told again as it was told first,
whatever has become of the volume since. Pure."""

from journal.entry import Header
from journal.events import (
    EffectFailed,
    Event,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeMade,
    VolumeRemoved,
    VolumeRestored,
)
from projections.state import Snapshot, Volume


class Making:
    """Of a volume, or of a size: `asked` is the volume right after the call. `failure`: what stood in its way last."""

    def __init__(self, asked: Volume) -> None:
        self.failure: EffectFailed | None = None
        self._asked = asked
        self._wanted_bytes = asked.size_bytes

    def ends(self, header: Header, event: Event) -> bool:
        """Whether it is made with this, or will not be. Entries are shown in their order."""
        uid, size_bytes = self._asked.uid, self._asked.size_bytes
        match event:
            case VolumeApplied():  # of this incarnation: what ends it comes first
                self._wanted_bytes, self.failure = event.size_bytes, None
                return event.size_bytes < size_bytes
            case VolumeMade():
                return event.uid == uid and event.size_bytes >= size_bytes
            case EffectFailed(effect="EnsureVolume") if event.uid == uid and event.size_bytes == self._wanted_bytes:
                self.failure = event
                return event.permanent
            case VolumeRemoved():
                return event.uid == uid
            case _:
                return False


class Taking:
    """Of the snapshot `snapshot`, its uid, of the incarnation `uid`."""

    def __init__(self, uid: int, snapshot: int) -> None:
        self._uid = uid
        self._snapshot = snapshot

    def ends(self, header: Header, event: Event) -> bool:
        """Whether it is taken with this, or will not be."""
        match event:
            case SnapshotTaken() | SnapshotRemoved():
                return (event.uid, event.snapshot) == (self._uid, self._snapshot)
            case EffectFailed(effect="TakeSnapshot", permanent=True):
                return (event.uid, event.snapshot) == (self._uid, self._snapshot)
            case VolumeRemoved():
                return event.uid == self._uid
            case _:
                return False


class Restoring:
    """`asked` is the volume right after the call, `safety` what was to be kept of it first."""

    def __init__(self, asked: Volume, safety: Snapshot | None) -> None:
        self._uid = asked.uid
        self._source = asked.restoring
        self._safety = 0 if safety is None else safety.uid

    def ends(self, header: Header, event: Event) -> bool:
        """Whether its content is the snapshot's with this, or will not be."""
        match event:
            case VolumeRestored() | EffectFailed(effect="RestoreVolume", permanent=True):
                return (event.uid, event.snapshot) == (self._uid, self._source)
            case EffectFailed(effect="TakeSnapshot", permanent=True):
                return (event.uid, event.snapshot) == (self._uid, self._safety)
            case VolumeDeleteRequested() | VolumeRemoved():
                return event.uid == self._uid
            case _:
                return False

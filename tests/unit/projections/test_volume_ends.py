"""How what was asked for of a volume ended: the first entry that decides it, whatever comes behind that."""

from collections.abc import Callable

import pytest

from journal.entry import LOCAL, Header
from journal.events import (
    EffectFailed,
    Event,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeLost,
    VolumeMade,
    VolumeRemoved,
    VolumeRestored,
)
from projections.state import Snapshot, Volume
from projections.volume_ends import Making, Restoring, Taking

MIB = 1 << 20
ASKED = Volume("data", 7, 32 * MIB, 0, 7, made_bytes=16 * MIB, restoring=3)
SAFETY = Snapshot(9, "before-restore", 0, safety=True)
HEADER = Header(8, 0, "", 0, "", "", LOCAL, 0, 0, "", 1, "must", b"", b"")


def failed(effect: str, *, uid: int = 7, snapshot: int = 0, size: int = 0, permanent: bool = True) -> EffectFailed:
    return EffectFailed(
        effect, "data", uid, "NO_SPACE", "full", permanent=permanent, snapshot=snapshot, size_bytes=size * MIB
    )


def unmade(size: int, *, uid: int = 7, permanent: bool = True) -> EffectFailed:
    return failed("EnsureVolume", uid=uid, size=size, permanent=permanent)


def sized(size: int, *, same_size: bool = False) -> VolumeApplied:
    return VolumeApplied("data", size * MIB, same_size=same_size)


def made(size: int, uid: int = 7) -> VolumeMade:
    return VolumeMade("data", uid, size * MIB)


def taken(snapshot: int, uid: int = 7) -> SnapshotTaken:
    return SnapshotTaken("data", uid, snapshot, 16 * MIB, "copy")


def end(ends: Callable[[Header, Event], bool], told: tuple[Event, ...]) -> Event | None:
    return next((event for event in told if ends(HEADER, event)), None)


REMOVED, OTHERS = VolumeRemoved("data", 7), VolumeRemoved("data", 6)


@pytest.mark.parametrize(
    ("told", "decides"),
    [
        ((), None),
        ((VolumeLost("data", 7), OTHERS, made(32, uid=6), unmade(32, uid=6)), None),
        ((made(16), made(32)), made(32)),
        ((unmade(32, permanent=False), made(32)), made(32)),
        ((unmade(32), sized(32), made(32)), unmade(32)),
        ((sized(32, same_size=True), made(32)), made(32)),
        ((sized(16), made(32)), sized(16)),
        ((sized(64), unmade(32), made(64)), made(64)),
        ((sized(64), unmade(64)), unmade(64)),
        ((REMOVED, VolumeApplied("data", 32 * MIB, created=True), made(32, uid=12)), REMOVED),
    ],
    ids=[
        "nothing yet", "nothing of it", "made", "made at another try", "given up, then made for another call",
        "its policy", "taken back", "a larger one came about", "a larger one did not", "removed",
    ],
)  # fmt: skip
def test_what_decides_whether_a_size_was_made(told: tuple[Event, ...], decides: Event | None) -> None:
    assert end(Making(ASKED).ends, told) == decides


def test_what_stood_in_its_way_last_is_known_until_another_word_is_said() -> None:
    making = Making(ASKED)
    assert end(making.ends, (unmade(32, permanent=False), REMOVED)) == REMOVED
    assert making.failure == unmade(32, permanent=False)
    making = Making(ASKED)
    assert end(making.ends, (unmade(32, permanent=False), sized(64), REMOVED)) == REMOVED
    assert making.failure is None


@pytest.mark.parametrize(
    ("told", "decides"),
    [
        ((taken(8), taken(9, uid=6), OTHERS, made(32)), None),
        ((taken(9), SnapshotRemoved("data", 7, 9)), taken(9)),
        ((SnapshotRemoved("data", 7, 9), REMOVED), SnapshotRemoved("data", 7, 9)),
        ((failed("TakeSnapshot", snapshot=9, permanent=False), REMOVED), REMOVED),
        ((failed("TakeSnapshot", snapshot=8), failed("TakeSnapshot", snapshot=9)), failed("TakeSnapshot", snapshot=9)),
    ],
)
def test_what_decides_whether_a_snapshot_was_taken(told: tuple[Event, ...], decides: Event | None) -> None:
    assert end(Taking(7, 9).ends, told) == decides


@pytest.mark.parametrize(
    ("told", "decides"),
    [
        ((taken(9), VolumeRestored("data", 7, 4), VolumeRestored("data", 6, 3), OTHERS), None),
        ((VolumeRestored("data", 7, 3), REMOVED), VolumeRestored("data", 7, 3)),
        ((failed("RestoreVolume", snapshot=3, permanent=False), REMOVED), REMOVED),
        ((failed("RestoreVolume", snapshot=3), REMOVED), failed("RestoreVolume", snapshot=3)),
        ((failed("TakeSnapshot", snapshot=9), REMOVED), failed("TakeSnapshot", snapshot=9)),
        ((VolumeDeleteRequested("data", 7), REMOVED), VolumeDeleteRequested("data", 7)),
    ],
)
def test_what_decides_whether_a_content_came_back(told: tuple[Event, ...], decides: Event | None) -> None:
    assert end(Restoring(ASKED, SAFETY).ends, told) == decides


def test_a_restore_that_keeps_nothing_is_not_ended_by_what_another_snapshot_met() -> None:
    assert end(Restoring(ASKED, None).ends, (failed("TakeSnapshot", snapshot=9),)) is None

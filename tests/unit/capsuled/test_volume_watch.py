"""What the storage shows becomes events: marks told once each on the way up, and what was lost and is back."""

import pytest

from capsuled.volume_watch import differences, filling, found_again
from effects.volumes.protocol import Fill, SeenSnapshot, SeenVolume
from journal.events import SnapshotRemoved, VolumeLost, VolumeMade, VolumeMounted, VolumeUnmounted
from projections.intents import Apply, DeclaredVolume, TakeSnapshot
from tests.support.story import Story

MIB = 1 << 20


@pytest.mark.parametrize(
    ("percent", "told", "expected"),
    [
        (0, 0, None), (79, 0, None), (80, 0, 80), (89, 80, None), (90, 80, 90), (95, 80, 95), (100, 90, 95),
        (100, 95, None), (91, 95, None), (90, 95, 90), (76, 80, None), (75, 80, 0), (10, 95, 0),
    ],
)  # fmt: skip
def test_a_mark_is_told_once_and_taken_back_only_well_below_it(percent: int, told: int, expected: int | None) -> None:
    event = filling(Fill(100 * MIB, percent * MIB), told)
    assert (None if event is None else event.percent) == expected


def test_an_empty_storage_fills_nothing() -> None:
    assert filling(Fill(0, 0), 0) is None


def story() -> Story:
    made = Story()
    made.call(Apply((), volumes=(DeclaredVolume("data", 64 * MIB),)))
    made.converge()
    made.call(TakeSnapshot("data", "one"))
    made.converge()
    return made


def test_differences_are_what_is_lost_back_unmounted_or_without_its_snapshot() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    snapshot = SeenSnapshot(volume.snapshots[0].uid, 64 * MIB, 0, "copy")
    whole = SeenVolume("data", volume.uid, 64 * MIB, 0, False, (snapshot,))
    assert differences(told.machine, (whole,)) == ()
    assert differences(told.machine, ()) == (VolumeLost("data", volume.uid),)
    bare = SeenVolume("data", volume.uid, 64 * MIB, 0, False)
    assert differences(told.machine, (bare,)) == (SnapshotRemoved("data", volume.uid, snapshot.snapshot),)
    told.tell(VolumeLost("data", volume.uid))
    assert found_again(told.machine, ()) == ()
    other = SeenVolume("data", volume.uid + 1, 64 * MIB, 0, False)
    assert found_again(told.machine, (other, whole)) == (VolumeMade("data", volume.uid, 64 * MIB),)


def test_a_mount_that_is_gone_is_told() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    told.tell(VolumeMounted("data", volume.uid, "web", 1))
    seen = SeenVolume("data", volume.uid, 64 * MIB, 0, False, (SeenSnapshot(volume.snapshots[0].uid, 1, 0, "copy"),))
    (event,) = differences(told.machine, (seen,))
    assert isinstance(event, VolumeUnmounted) and event.reason

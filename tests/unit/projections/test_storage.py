"""What the storage shows becomes events: marks told once each on the way up, and what was lost and is back."""

import pytest
from msgspec.structs import replace

from journal.events import (
    SnapshotRemoved,
    VolumeDrifted,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeUnmounted,
)
from journal.specs import DriftPolicy, VolumeMount
from projections.intents import Apply, DeclaredVolume, DeleteVolume, TakeSnapshot
from projections.state import Trouble
from projections.storage import (
    Fill,
    SeenSnapshot,
    SeenVolume,
    differences,
    filling,
    found_again,
    mount_news,
    spoiled,
    standing,
    strangers,
    stray_snapshots,
    unheld,
)
from tests.support.story import Story, declared

MIB = 1 << 20
NOWHERE: frozenset[tuple[str, int]] = frozenset()
"""Nothing is mounted."""


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
    assert differences(told.machine, (whole,), NOWHERE) == ()
    assert differences(told.machine, (), NOWHERE) == (VolumeLost("data", volume.uid),)
    bare = SeenVolume("data", volume.uid, 64 * MIB, 0, False)
    assert differences(told.machine, (bare,), NOWHERE) == (SnapshotRemoved("data", volume.uid, snapshot.snapshot),)
    told.tell(VolumeLost("data", volume.uid))
    assert found_again(told.machine, ()) == ()
    other = SeenVolume("data", volume.uid + 1, 64 * MIB, 0, False)
    larger = SeenVolume("data", volume.uid, 80 * MIB, 0, False)
    for found in (whole, larger):
        assert found_again(told.machine, (other, found)) == (VolumeMade("data", volume.uid, 64 * MIB),)


def test_what_is_there_and_cannot_be_looked_at_is_neither_gone_nor_back() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    unknown = SeenVolume("data", volume.uid, 0, 0, False, (SeenSnapshot(volume.snapshots[0].uid, 0, 0, "copy"),))
    assert differences(told.machine, (unknown,), NOWHERE) == ()
    told.tell(VolumeLost("data", volume.uid))
    assert found_again(told.machine, (unknown,)) == ()


def test_a_mount_that_is_gone_is_told() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    told.tell(VolumeMounted("data", volume.uid, "web", 1))
    seen = SeenVolume("data", volume.uid, 64 * MIB, 0, False, (SeenSnapshot(volume.snapshots[0].uid, 1, 0, "copy"),))
    (event,) = differences(told.machine, (seen,), NOWHERE)
    assert isinstance(event, VolumeUnmounted) and event.reason


def test_a_volume_that_is_lost_while_it_is_mounted_is_held_until_it_is_unmounted() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    told.tell(VolumeMounted("data", volume.uid, "web", 1))
    (event,) = differences(told.machine, (), frozenset({("data", volume.uid)}))
    assert event == VolumeLost("data", volume.uid, mounted=True)
    told.tell(event)
    assert told.machine.volumes["data"].holder == "web"
    back = SeenVolume("data", volume.uid, 64 * MIB, 0, True)
    assert found_again(told.machine, (back,)) == (), "what is mounted may be another file by now"
    (event,) = differences(told.machine, (), NOWHERE)
    assert isinstance(event, VolumeUnmounted)
    told.tell(event)
    assert found_again(told.machine, (back,)) == (VolumeMade("data", volume.uid, 64 * MIB),)


def test_only_the_incarnation_that_is_here_is_ours() -> None:
    told = story()
    uid = told.machine.volumes["data"].uid
    seen = tuple(
        SeenVolume(name, number, 64 * MIB, 0, True) for name, number in (("data", uid), ("data", 99), ("x", 1))
    )
    assert strangers(told.machine, seen) == (("data", 99), ("x", 1))
    assert strangers(told.machine, seen[:1]) == ()


def test_a_snapshot_that_none_here_is_is_named_whether_or_not_ours_are_there() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    snapshots = tuple(SeenSnapshot(uid, MIB, 0, "copy") for uid in (volume.snapshots[0].uid, 99))
    ours, older = (SeenVolume("data", uid, 64 * MIB, 0, False, snapshots) for uid in (volume.uid, 98))
    assert stray_snapshots(told.machine, (older, ours)) == (("data", volume.uid, 99),)


def test_what_nobody_holds_is_named_and_a_strangers_mount_is_his() -> None:
    told = story()
    uid = told.machine.volumes["data"].uid
    ours = SeenVolume("data", uid, 64 * MIB, 0, True)
    stranger = SeenVolume("x", 1, 64 * MIB, 0, True)
    mounted = frozenset({("data", uid), ("x", 1), ("gone", 7)})
    assert unheld(told.machine, (ours, stranger), mounted) == (("data", uid), ("gone", 7))
    told.tell(VolumeMounted("data", uid, "web", 1))
    assert unheld(told.machine, (ours, stranger), mounted) == (("gone", 7),)


def test_what_takes_no_writes_is_told_of_the_incarnation_that_is_here() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    ours, older = (SeenVolume("data", uid, 64 * MIB, 0, True, read_only=True) for uid in (volume.uid, 99))
    assert spoiled(told.machine, (ours, older)) == (volume,)
    assert spoiled(told.machine, (older,)) == ()


def test_where_a_volume_stands_is_said_in_a_word() -> None:
    volume = story().machine.volumes["data"]
    words = {
        "ready": volume,
        "in-use": replace(volume, holder="web"),
        "making": replace(volume, made_bytes=0),
        "growing": replace(volume, size_bytes=2 * volume.size_bytes, holder="web"),
        "restoring": replace(volume, restoring=3, made_bytes=0),
        "lost": replace(volume, lost=True, restoring=3),
        "deleting": replace(volume, deleting=True, lost=True),
    }
    assert {word: standing(one)[0] for word, one in words.items()} == {word: word for word in words}


def test_what_the_storage_says_of_a_volume_stands_before_what_the_state_knows() -> None:
    volume = replace(
        story().machine.volumes["data"], holder="web", trouble=Trouble("EnsureVolume", "NO_SPACE", "disk\nfull", 0, 1)
    )
    well, broken = (SeenVolume("data", volume.uid, 64 * MIB, 0, True, read_only=value) for value in (False, True))
    assert standing(volume, well) == standing(volume) == ("in-use", "disk full")
    phase, message = standing(volume, broken)
    assert phase == "read-only" and "`capsulectl restart web`" in message


def opened(drift: DriftPolicy = "repair") -> Story:
    """A run has the volume open."""
    made = Story()
    one = declared("web")
    one = replace(one, spec=replace(one.spec, mounts=(VolumeMount("data", "/data"),)))
    made.apply(one, volumes=(DeclaredVolume("data", 64 * MIB, drift),))
    made.converge()
    return made


def test_a_mount_that_is_gone_under_a_run_is_another_hands() -> None:
    told = opened()
    uid = told.machine.volumes["data"].uid
    bare = SeenVolume("data", uid, 64 * MIB, 0, False)
    assert differences(told.machine, (bare,), NOWHERE) == (VolumeDrifted("data", uid, "unmounted"),)
    told.tell(VolumeDrifted("data", uid, "unmounted"))
    assert differences(told.machine, (bare,), NOWHERE) == (), "it was told"


def test_a_reported_mount_that_is_back_is_told_and_one_that_is_mended_anyway_is_not() -> None:
    for drift, back in (("report", True), ("repair", False)):
        told = opened(drift)  # type: ignore[arg-type]
        volume = told.machine.volumes["data"]
        assert mount_news(volume, mounted=True) == ()
        told.tell(VolumeDrifted("data", volume.uid, "unmounted"))
        expected = (VolumeMounted("data", volume.uid, "web", told["web"].uid),) if back else ()
        assert mount_news(told.machine.volumes["data"], mounted=True) == expected


def test_what_was_never_made_or_is_going_is_not_missed() -> None:
    told = Story()
    told.apply(volumes=(DeclaredVolume("data", 64 * MIB),))
    assert differences(told.machine, (), NOWHERE) == ()
    told.converge()
    told.call(DeleteVolume("data"))
    assert differences(told.machine, (), NOWHERE) == ()

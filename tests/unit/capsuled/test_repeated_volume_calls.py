"""A call on a volume that is said again: the first one's answer, whatever has become of it."""

import asyncio

import pytest

from capsule.v1 import rollback_pb2
from capsule.v1 import volume_pb2 as pb
from capsuled.rpc import Refused
from journal.events import EffectFailed, SnapshotTaken, VolumeLost, VolumeMade, VolumeRemoved, VolumeRestored
from tests.support.storehouse import MIB, Storehouse, no_room, refusal, run, settled


def test_what_was_done_before_the_volume_was_lost_is_answered_again() -> None:
    async def test(store: Storehouse) -> None:
        await store.made("create-1")
        first = await store.taken("take-1")
        store.happens(VolumeLost("data", store.data.uid))
        assert await store.done(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data"), "take-1") == first
        create = pb.VolumeCreateRequest(name="data", size_mib=16)
        assert (await store.done(store.volumes.Create, create, "create-1")).uid == store.data.uid

    run(test)


def test_a_repeated_creation_tells_of_the_volume_that_it_made() -> None:
    async def test(store: Storehouse) -> None:
        first = await store.made("create-1")
        await store.deleted()
        other = await store.made()
        assert other.uid != first.uid
        create = pb.VolumeCreateRequest(name="data", size_mib=16)
        assert await store.done(store.volumes.Create, create, "create-1") == first

    run(test)


def test_a_repeated_snapshot_is_the_one_that_was_taken_also_when_it_has_gone() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        first = await store.taken("take-1")
        take = pb.SnapshotTakeRequest(volume="data")
        assert await store.done(store.snapshots.Take, take, "take-1") == first
        await store.dropped(first.name)
        again = await store.done(store.snapshots.Take, take, "take-1")
        assert (again.name, again.uid, again.taken) == (first.name, first.uid, True)
        await store.deleted()
        assert (await store.done(store.snapshots.Take, take, "take-1")).uid == first.uid

    run(test)


def test_a_repeated_restore_names_the_safety_snapshot_that_it_took() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        request = pb.SnapshotRestoreRequest(volume="data", name=(await store.taken()).name)
        restoring = store.begin(store.snapshots.Restore, request, "restore-1")
        await settled()
        source, safety = store.data.snapshots
        store.happens(
            SnapshotTaken("data", store.data.uid, safety.uid, 16 * MIB, "copy"),
            VolumeRestored("data", store.data.uid, source.uid),
        )
        first = await asyncio.wait_for(restoring, 5)
        assert first.safety == safety.label
        await store.dropped(safety.label)
        assert await store.done(store.snapshots.Restore, request, "restore-1") == first

    run(test)


@pytest.mark.parametrize("ends", ["restored", "given up"])
def test_a_repeated_rollback_waits_like_the_first_and_hears_what_came_of_it(ends: str) -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        request = rollback_pb2.RollbackRequest(name="volume/data", snapshot=(await store.taken()).name)
        first = asyncio.create_task(store.roll_back(request, "back-1"))
        await settled()
        again = asyncio.create_task(store.roll_back(request, "back-1"))
        await settled()
        assert not first.done() and not again.done(), "it is admitted, and not done"
        source, safety = store.data.snapshots
        if ends == "given up":
            no_room(store, "TakeSnapshot", snapshot=safety.uid)
            for call in (first, again, asyncio.create_task(store.roll_back(request, "back-1"))):
                with pytest.raises(Refused) as caught:
                    await asyncio.wait_for(call, 5)
                assert caught.value.refusal.reason == "NO_SPACE"
            return
        store.happens(
            SnapshotTaken("data", store.data.uid, safety.uid, 16 * MIB, "copy"),
            VolumeRestored("data", store.data.uid, source.uid),
        )
        answer = await asyncio.wait_for(first, 5)
        assert await asyncio.wait_for(again, 5) == answer
        assert safety.label in answer.items[0].reason
        assert await asyncio.wait_for(store.roll_back(request, "back-1"), 5) == answer

    run(test)


def test_a_repeated_deletion_does_not_wait_for_a_later_snapshot_of_the_name() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        name = (await store.taken()).name
        await store.dropped(name, "drop-1")
        taking = store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name=name))
        await settled()
        await store.done(store.snapshots.Delete, pb.SnapshotDeleteRequest(volume="data", name=name), "drop-1")
        assert [one.label for one in store.data.snapshots] == [name]
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

    run(test)


NO_SPACE = ("RESOURCE_EXHAUSTED", "NO_SPACE")


def test_a_repeated_creation_of_what_could_not_be_made_is_refused_as_the_first_was() -> None:
    async def test(store: Storehouse) -> None:
        create = pb.VolumeCreateRequest(name="data", size_mib=16)
        creating = store.begin(store.volumes.Create, create, "create-1")
        await settled()
        uid = store.data.uid
        no_room(store, "EnsureVolume", size_bytes=16 * MIB)
        first = await refusal(creating)
        assert first[:2] == NO_SPACE and "Nothing is left of it" in first[2]
        store.happens(VolumeRemoved("data", uid))
        assert await refusal(store.done(store.volumes.Create, create, "create-1")) == first
        await store.made()
        assert await refusal(store.done(store.volumes.Create, create, "create-1")) == first, "that is another one"

    run(test)


def test_a_repeated_creation_that_was_withdrawn_at_once_says_what_stood_in_its_way() -> None:
    async def test(store: Storehouse) -> None:
        create = pb.VolumeCreateRequest(name="data", size_mib=16)
        creating = store.begin(store.volumes.Create, create, "create-1")
        await settled()
        uid = store.data.uid
        store.happens(EffectFailed("EnsureVolume", "data", uid, "NO_SPACE", "full", size_bytes=16 * MIB))
        first = await refusal(creating)
        store.happens(VolumeRemoved("data", uid))
        assert await refusal(store.done(store.volumes.Create, create, "create-1")) == first

    run(test)


def test_a_repeated_growth_that_was_given_up_is_refused_also_when_another_came_about() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        resize = pb.VolumeResizeRequest(name="data", new_size_mib=64)
        growing = store.begin(store.volumes.Resize, resize, "grow-1")
        await settled()
        no_room(store, "EnsureVolume", size_bytes=64 * MIB)
        first = await refusal(growing)
        smaller = store.begin(store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=32), "grow-2")
        await settled()
        store.happens(VolumeMade("data", store.data.uid, 32 * MIB))
        assert (await asyncio.wait_for(smaller, 5)).size_bytes == 32 * MIB
        assert await refusal(store.done(store.volumes.Resize, resize, "grow-1")) == first
        assert first[:2] == NO_SPACE and "Nothing was changed" in first[2]

    run(test)


def test_a_growth_that_is_taken_back_while_it_is_waited_for_did_not_come_about() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        resize = pb.VolumeResizeRequest(name="data", new_size_mib=64)
        growing = store.begin(store.volumes.Resize, resize, "grow-1")
        await settled()
        await store.done(store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=16))
        first = await refusal(growing)
        assert first[:2] == ("ABORTED", "NOT_MADE")
        assert await refusal(store.done(store.volumes.Resize, resize, "grow-1")) == first

    run(test)


def test_a_repeated_growth_is_answered_as_it_was_while_a_later_one_goes_on() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        resize = pb.VolumeResizeRequest(name="data", new_size_mib=32)
        growing = store.begin(store.volumes.Resize, resize, "grow-1")
        await settled()
        store.happens(VolumeMade("data", store.data.uid, 32 * MIB))
        first = await asyncio.wait_for(growing, 5)
        later = store.begin(store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=64))
        await settled()
        assert await store.done(store.volumes.Resize, resize, "grow-1") == first
        same = pb.VolumeResizeRequest(name="data", new_size_mib=64)
        store.happens(VolumeMade("data", store.data.uid, 64 * MIB))
        await asyncio.wait_for(later, 5)
        asked = await store.done(store.volumes.Resize, same, "same-1")
        await store.deleted()
        assert await store.done(store.volumes.Resize, same, "same-1") == asked

    run(test)


def test_a_repeated_snapshot_that_was_given_up_is_refused_as_the_first_was() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        take = pb.SnapshotTakeRequest(volume="data", name="one")
        taking = store.begin(store.snapshots.Take, take, "take-1")
        await settled()
        no_room(store, "TakeSnapshot", snapshot=store.data.snapshots[0].uid)
        first = await refusal(taking)
        assert first[:2] == NO_SPACE
        await store.taken()
        no_room(store, "EnsureVolume", size_bytes=16 * MIB)  # what stands there now is another's
        assert await refusal(store.done(store.snapshots.Take, take, "take-1")) == first

    run(test)


def test_a_repeated_restore_that_was_given_up_is_refused_as_the_first_was() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        request = pb.SnapshotRestoreRequest(volume="data", name=(await store.taken()).name)
        restoring = store.begin(store.snapshots.Restore, request, "restore-1")
        await settled()
        no_room(store, "TakeSnapshot", snapshot=store.data.snapshots[-1].uid)
        first = await refusal(restoring)
        assert first[:2] == NO_SPACE
        no_room(store, "EnsureVolume", size_bytes=16 * MIB)
        assert await refusal(store.done(store.snapshots.Restore, request, "restore-1")) == first
        await store.deleted()
        assert await refusal(store.done(store.snapshots.Restore, request, "restore-1")) == first

    run(test)


def test_a_repeated_restore_that_a_deletion_ended_is_refused_as_the_first_was() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        request = pb.SnapshotRestoreRequest(volume="data", name=(await store.taken()).name)
        restoring = store.begin(store.snapshots.Restore, request, "restore-1")
        await settled()
        await store.deleted()
        first = await refusal(restoring)
        assert first[:2] == ("ABORTED", "DELETED")
        assert await refusal(store.done(store.snapshots.Restore, request, "restore-1")) == first

    run(test)


def test_a_repeated_deletion_of_a_snapshot_that_was_not_there_says_so_again() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        kept = await store.taken()
        absent = pb.SnapshotDeleteRequest(volume="data", name="absent")
        assert (await store.done(store.snapshots.Delete, absent, "drop-1")).absent
        assert (await store.done(store.snapshots.Delete, absent, "drop-1")).absent
        await store.dropped(kept.name, "drop-2")
        there = pb.SnapshotDeleteRequest(volume="data", name=kept.name)
        assert not (await store.done(store.snapshots.Delete, there, "drop-2")).absent

    run(test)

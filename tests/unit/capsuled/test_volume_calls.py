"""Calls on volumes while the world goes on: what they wait for is deleted or made anew."""

import asyncio
from typing import Any

import pytest

from capsule.v1 import volume_pb2 as pb
from capsuled import volume_waits
from capsuled.rpc import Refused
from capsuled.services import volumes
from effects.goals import kind_of, snapshot_of
from effects.volume_planner import plan_volume
from journal.entry import SYSTEM
from journal.events import (
    CallAccepted,
    EffectFailed,
    SnapshotDeleteRequested,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeDeleteRequested,
    VolumeLost,
    VolumeMounted,
    VolumeRemoved,
    VolumeUnmounted,
)
from tests.support.storehouse import MIB, Storehouse, no_room, refusal, run, settled


@pytest.mark.parametrize("method", ["Create", "Resize", "Take", "Restore"])
def test_what_is_deleted_while_a_call_waits_for_it_ends_the_call(method: str) -> None:
    async def test(store: Storehouse) -> None:
        calls: dict[str, tuple[Any, Any]] = {
            "Create": (store.volumes.Create, pb.VolumeCreateRequest(name="data", size_mib=16)),
            "Resize": (store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=32)),
            "Take": (store.snapshots.Take, pb.SnapshotTakeRequest(volume="data")),
            "Restore": (store.snapshots.Restore, pb.SnapshotRestoreRequest(volume="data", name="first")),
        }
        if method != "Create":
            await store.made()
            taking = store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="first"))
            await settled()
            store.happens(SnapshotTaken("data", store.data.uid, store.data.snapshots[0].uid, 16 * MIB, "copy"))
            await taking
        waiting = store.begin(*calls[method])
        await settled()
        assert not waiting.done()
        await store.deleted()
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(waiting, 5)
        assert (caught.value.refusal.code, caught.value.refusal.reason) == ("ABORTED", "DELETED")

    run(test)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("Create", "volume more is not there yet"),
        ("Resize", "volume data does not have its 32 MiB yet"),
        ("Take", "snapshot second of volume data is not taken yet"),
        ("Restore", "volume data is not restored yet"),
        ("Drop", "snapshot first of volume data is not gone yet"),
        ("Delete", "volume data is not gone yet"),
    ],
)
def test_who_waits_too_long_hears_what_is_not_so_yet(method: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        await store.taken(name="first")
        for module in (volume_waits, volumes):
            monkeypatch.setattr(module, "WAIT_S", 0.01)
            monkeypatch.setattr(module, "LONG_WAIT_S", 0.01)
        calls: dict[str, tuple[Any, Any]] = {
            "Create": (store.volumes.Create, pb.VolumeCreateRequest(name="more", size_mib=16)),
            "Resize": (store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=32)),
            "Take": (store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="second")),
            "Restore": (store.snapshots.Restore, pb.SnapshotRestoreRequest(volume="data", name="first")),
            "Drop": (store.snapshots.Delete, pb.SnapshotDeleteRequest(volume="data", name="first")),
            "Delete": (store.volumes.Delete, pb.VolumeDeleteRequest(name="data", force=True)),
        }
        code, reason, message = await refusal(store.done(*calls[method]))
        assert (code, reason) == ("DEADLINE_EXCEEDED", "STILL_WORKING")
        assert message.startswith(f"{words}; it will be: `capsulectl volume ")

    run(test)


@pytest.mark.parametrize("method", ["Resize", "Take", "Restore", "Drop"])
def test_what_is_lost_while_a_call_waits_for_it_ends_the_call(method: str) -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        name = (await store.taken()).name
        calls: dict[str, tuple[Any, Any]] = {
            "Resize": (store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=32)),
            "Take": (store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="second")),
            "Restore": (store.snapshots.Restore, pb.SnapshotRestoreRequest(volume="data", name=name)),
            "Drop": (store.snapshots.Delete, pb.SnapshotDeleteRequest(volume="data", name=name)),
        }
        waiting = store.begin(*calls[method])
        await settled()
        assert not waiting.done()
        store.happens(VolumeLost("data", store.data.uid))
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(waiting, 5)
        assert (caught.value.refusal.code, caught.value.refusal.reason) == ("DATA_LOSS", "VOLUME_MISSING")
        await store.deleted()

    run(test)


@pytest.mark.parametrize(("point", "listed"), [("observe volumes", False), ("volume usage", True)])
def test_what_is_deleted_while_it_is_looked_at_is_shown_as_it_was(point: str, listed: bool) -> None:
    """Whoever looks waits at this point of the storage's answer while the volume goes."""

    async def test(store: Storehouse) -> None:
        await store.made()
        uid = store.data.uid
        store.happens(VolumeMounted("data", uid, "web", 1))
        store.held_up = point
        list_, get = (
            store.begin(store.volumes.List, pb.VolumeListRequest()),
            store.begin(store.volumes.Get, pb.VolumeGetRequest(name="data")),
        )
        await settled()
        assert store.waiting == 2
        store.happens(VolumeUnmounted("data", uid), VolumeRemoved("data", uid))
        assert "data" not in store.engine.machine.volumes
        store.answers.set()
        assert (await asyncio.wait_for(get, 5)).uid == uid
        assert [one.uid for one in (await asyncio.wait_for(list_, 5)).volumes] == ([uid] if listed else [])

    run(test)


def test_a_guest_that_does_not_answer_costs_how_full_its_volume_is_and_nothing_else() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        store.happens(VolumeMounted("data", store.data.uid, "web", 1))
        store.silent = True
        got = await store.done(store.volumes.Get, pb.VolumeGetRequest(name="data"))
        (listed,) = (await store.done(store.volumes.List, pb.VolumeListRequest())).volumes
        assert got == listed and (got.holder, got.size_bytes, got.fs_total_bytes) == ("web", 16 * MIB, 0)

    run(test)


def test_what_another_snapshot_failed_of_refuses_nobody_once_that_is_dropped() -> None:
    """As an export drops its own."""

    async def test(store: Storehouse) -> None:
        await store.made()
        first = await store.taken()
        taking = store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="export-1"))
        await settled()
        uid, failing = store.data.uid, store.data.snapshots[-1].uid
        store.happens(EffectFailed("TakeSnapshot", "data", uid, "VOLUME_FAILED", "bad sector", snapshot=failing))
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(taking, 5)
        assert caught.value.refusal.message == "bad sector. It is tried again by itself"
        await store.dropped("export-1")
        taking = store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="nightly"))
        await settled()
        store.happens(SnapshotTaken("data", uid, store.data.snapshots[-1].uid, 16 * MIB, "copy"))
        assert (await asyncio.wait_for(taking, 5)).taken
        deleting = store.begin(store.snapshots.Delete, pb.SnapshotDeleteRequest(volume="data", name=first.name))
        await settled()
        assert not deleting.done()
        store.happens(SnapshotRemoved("data", uid, store.data.snapshots[0].uid))
        await asyncio.wait_for(deleting, 5)

    run(test)


@pytest.mark.parametrize(
    ("effect", "method"), [("TakeSnapshot", "Take"), ("TakeSnapshot", "Restore"), ("RemoveSnapshot", "Delete")]
)
def test_what_an_earlier_snapshot_fails_of_is_said_to_whoever_waits_behind_it(effect: str, method: str) -> None:
    """The storage has them one after the other: nothing is tried of the later one before."""

    async def test(store: Storehouse) -> None:
        await store.made()
        for name in ("one", "two"):
            await store.taken(name=name)
        requests: dict[str, tuple[Any, Any]] = {
            "Take": (store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="four")),
            "Restore": (store.snapshots.Restore, pb.SnapshotRestoreRequest(volume="data", name="one")),
            "Delete": (store.snapshots.Delete, pb.SnapshotDeleteRequest(volume="data", name="two")),
        }
        if effect == "TakeSnapshot":
            first = store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="three"))
        else:
            first = store.begin(store.snapshots.Delete, pb.SnapshotDeleteRequest(volume="data", name="one"))
        await settled()
        goal = plan_volume(store.data)
        assert goal is not None and kind_of(goal) == effect
        behind = store.begin(*requests[method])
        await settled()
        assert plan_volume(store.data) == goal and not behind.done()
        failed = EffectFailed(effect, "data", store.data.uid, "VOLUME_FAILED", "bad sector", snapshot=snapshot_of(goal))
        store.happens(failed)
        for call in (first, behind):
            with pytest.raises(Refused) as caught:
                await asyncio.wait_for(call, 5)
            assert caught.value.refusal.message == "bad sector. It is tried again by itself"

    run(test)


def test_what_a_later_snapshot_fails_of_holds_up_no_earlier_deletion() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        for name in ("one", "two"):
            await store.taken(name=name)
        uid, (one, two) = store.data.uid, store.data.snapshots
        store.happens(SnapshotDeleteRequested("data", uid, two.uid))
        store.happens(EffectFailed("RemoveSnapshot", "data", uid, "VOLUME_FAILED", "bad sector", snapshot=two.uid))
        dropping = store.begin(store.snapshots.Delete, pb.SnapshotDeleteRequest(volume="data", name="one"))
        await settled()
        assert not dropping.done()
        store.happens(SnapshotRemoved("data", uid, one.uid))
        await asyncio.wait_for(dropping, 5)

    run(test)


@pytest.mark.parametrize("effect", ["EnsureVolume", "RemoveSnapshot"])
def test_what_comes_before_a_snapshot_and_fails_is_said_to_whoever_waits_for_that(effect: str) -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        await store.taken()
        uid, (one,) = store.data.uid, store.data.snapshots
        store.happens(SnapshotDeleteRequested("data", uid, one.uid))
        failed = EffectFailed(
            effect, "data", uid, "VOLUME_FAILED", "bad sector", snapshot=one.uid, size_bytes=store.data.size_bytes
        )
        store.happens(failed)
        with pytest.raises(Refused) as caught:
            await store.done(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="two"))
        assert caught.value.refusal.reason == "VOLUME_FAILED"

    run(test)


def test_what_could_not_be_made_is_deleted_by_a_call_of_the_machines_own() -> None:
    async def test(store: Storehouse) -> None:
        creating = store.begin(store.volumes.Create, pb.VolumeCreateRequest(name="data", size_mib=16))
        await settled()
        (created, _), *_ = store.house.log.entries
        no_room(store, "EnsureVolume", size_bytes=16 * MIB)
        with pytest.raises(Refused, match="Nothing is left of it"):
            await asyncio.wait_for(creating, 5)
        (accepting, accepted), (deleting, deleted) = store.house.log.entries[-2:]
        assert isinstance(accepted, CallAccepted) and isinstance(deleted, VolumeDeleteRequested)
        assert (accepted.method, accepted.objects) == ("VolumeService.Delete", ("data",))
        assert (accepting.actor, accepting.cause) == (SYSTEM, created.seq)
        assert (deleting.actor, deleting.cause, deleting.call) == (SYSTEM, accepting.seq, accepting.seq)

    run(test)


def test_a_snapshot_that_was_taken_is_not_told_of_the_next_ones_trouble() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        first, second = (
            store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name=name)) for name in ("a", "b")
        )
        await settled()
        one, other = store.data.snapshots
        store.happens(SnapshotTaken("data", store.data.uid, one.uid, 16 * MIB, "copy"))
        no_room(store, "TakeSnapshot", snapshot=other.uid)
        assert (await asyncio.wait_for(first, 5)).taken
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(second, 5)
        assert caught.value.refusal.reason == "NO_SPACE"

    run(test)


def test_what_was_given_up_stands_in_no_other_calls_way() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        kept = await store.taken()
        taking = store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name="b"))
        await settled()
        no_room(store, "TakeSnapshot", snapshot=store.data.snapshots[-1].uid)
        with pytest.raises(Refused):
            await asyncio.wait_for(taking, 5)
        same = await store.done(store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=16))
        assert same.size_bytes == 16 * MIB
        await store.dropped(kept.name)

    run(test)


@pytest.mark.parametrize("what", ["safety", "restore", "growth"])
def test_who_asked_for_what_is_given_up_hears_that_nothing_was_changed(what: str) -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        request = pb.SnapshotRestoreRequest(volume="data", name=(await store.taken()).name)
        if what == "growth":
            call = store.begin(store.volumes.Resize, pb.VolumeResizeRequest(name="data", new_size_mib=32))
            await settled()
            no_room(store, "EnsureVolume", size_bytes=32 * MIB)
        else:
            call = store.begin(store.snapshots.Restore, request)
            await settled()
            source, safety = store.data.snapshots
            if what == "safety":
                no_room(store, "TakeSnapshot", snapshot=safety.uid)
            else:
                store.happens(SnapshotTaken("data", store.data.uid, safety.uid, 16 * MIB, "copy"))
                no_room(store, "RestoreVolume", snapshot=source.uid)
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(call, 5)
        assert caught.value.refusal.reason == "NO_SPACE" and "Nothing was changed" in caught.value.refusal.message
        assert (store.data.restoring, store.data.size_bytes) == (0, 16 * MIB)

    run(test)


def test_a_guest_that_does_not_answer_has_to_be_seen_to_before_a_snapshot_is_asked_for_again() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        call = store.begin(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data"))
        await settled()
        (asked,) = store.data.snapshots
        store.happens(
            EffectFailed(
                "TakeSnapshot", "data", store.data.uid, "GUEST_SILENT", "silent", permanent=True, snapshot=asked.uid
            )
        )
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(call, 5)
        assert (caught.value.refusal.code, caught.value.refusal.reason) == ("FAILED_PRECONDITION", "GUEST_SILENT")

    run(test)

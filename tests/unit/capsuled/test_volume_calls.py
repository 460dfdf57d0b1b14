"""Calls on volumes while the world goes on: what they wait for is deleted, made anew, or asked for again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from capsule.v1 import rollback_pb2
from capsule.v1 import volume_pb2 as pb
from capsuled import volume_waits
from capsuled.answers import Answers
from capsuled.caller import Caller
from capsuled.rpc import Refused
from capsuled.services import volumes
from capsuled.services.volumes import SnapshotService, VolumeService
from capsuled.session import CURRENT, Session
from capsuled.volume_rollbacks import VolumeRollbacks
from effects.errors import RuntimeUnavailable
from effects.goals import kind_of, snapshot_of
from effects.volume_planner import plan_volume
from effects.volumes.twin import Storage, TwinVolumes
from journal.entry import LOCAL, SYSTEM
from journal.errors import JournalError
from journal.events import (
    CallAccepted,
    EffectFailed,
    Event,
    SnapshotDeleteRequested,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeDeleteRequested,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeRemoved,
    VolumeRestored,
    VolumeUnmounted,
)
from projections.state import Volume
from projections.storage import Fill
from tests.unit.capsuled.test_call_ids import House

MIB = 1 << 20


class Slow(TwinVolumes):
    """Takes a step before it says how full a volume is, too."""

    async def usage(self, name: str, uid: int) -> Fill | None:
        await self._step("volume usage")
        return await super().usage(name, uid)


class Storehouse:
    """Both services, and what the runner would journal. The storage holds up at the point `held_up`, until it `answers`;
    `silent`: no guest says how full a volume is."""

    def __init__(self, house: House | None = None) -> None:
        self.house = house or House()
        self.engine = self.house.engine
        self.held_up, self.waiting, self.answers = "", 0, asyncio.Event()
        self.silent = False
        answers, driver = Answers(self.engine, self.house.log), Slow(Storage(), self._step)
        self.volumes = VolumeService(self.engine, answers, driver)
        self.snapshots = SnapshotService(self.engine, answers, driver)
        self.rollbacks = VolumeRollbacks(self.engine, answers, driver, None, JournalError("no past here"))

    async def _step(self, point: str) -> None:
        if point == "volume usage" and self.silent:
            raise RuntimeUnavailable("the agent in web does not answer")
        if point == self.held_up:
            self.waiting += 1
            await self.answers.wait()

    def begin(self, call: Callable[[Any, Any], Awaitable[Any]], request: Any, call_id: str = "") -> asyncio.Task[Any]:
        async def called() -> Any:
            CURRENT.set(Session(LOCAL, call_id=call_id))
            return await call(request, None)

        return asyncio.create_task(called())

    async def done(self, call: Callable[[Any, Any], Awaitable[Any]], request: Any, call_id: str = "") -> Any:
        return await asyncio.wait_for(self.begin(call, request, call_id), 5)

    async def roll_back(self, request: rollback_pb2.RollbackRequest, call_id: str) -> rollback_pb2.RollbackResponse:
        return await self.rollbacks.roll_back(request, Caller(LOCAL, "RollbackService.Rollback", call_id, "args"))

    @property
    def data(self) -> Volume:
        return self.engine.machine.volumes["data"]

    def happens(self, *events: Event) -> None:
        self.engine.record(events)

    async def made(self, call_id: str = "") -> pb.Volume:
        creating = self.begin(self.volumes.Create, pb.VolumeCreateRequest(name="data", size_mib=16), call_id)
        await settled()
        self.happens(VolumeMade("data", self.data.uid, 16 * MIB))
        found: pb.Volume = await asyncio.wait_for(creating, 5)
        return found

    async def deleted(self) -> None:
        deleting = self.begin(self.volumes.Delete, pb.VolumeDeleteRequest(name="data"))
        await settled()
        self.happens(VolumeRemoved("data", self.data.uid))
        await asyncio.wait_for(deleting, 5)

    async def taken(self, call_id: str = "", name: str = "") -> pb.Snapshot:
        taking = self.begin(self.snapshots.Take, pb.SnapshotTakeRequest(volume="data", name=name), call_id)
        await settled()
        self.happens(SnapshotTaken("data", self.data.uid, self.data.snapshots[-1].uid, 16 * MIB, "copy"))
        found: pb.Snapshot = await asyncio.wait_for(taking, 5)
        return found

    async def dropped(self, name: str, call_id: str = "") -> None:
        request = pb.SnapshotDeleteRequest(volume="data", name=name)
        dropping = self.begin(self.snapshots.Delete, request, call_id)
        await settled()
        self.happens(SnapshotRemoved("data", self.data.uid, self.data.snapshots[-1].uid))
        await asyncio.wait_for(dropping, 5)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[Storehouse], Awaitable[None]]) -> None:
    async def told() -> None:
        await test(Storehouse())

    asyncio.run(told())


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


def test_what_was_done_before_the_volume_was_lost_is_answered_again() -> None:
    async def test(store: Storehouse) -> None:
        await store.made("create-1")
        first = await store.taken("take-1")
        store.happens(VolumeLost("data", store.data.uid))
        assert await store.done(store.snapshots.Take, pb.SnapshotTakeRequest(volume="data"), "take-1") == first
        create = pb.VolumeCreateRequest(name="data", size_mib=16)
        assert (await store.done(store.volumes.Create, create, "create-1")).uid == store.data.uid

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


def no_room(store: Storehouse, effect: str, snapshot: int = 0, size_bytes: int = 0) -> None:
    """A goal is given up."""
    full = EffectFailed(
        effect, "data", store.data.uid, "NO_SPACE", "full", permanent=True, snapshot=snapshot, size_bytes=size_bytes
    )
    store.happens(full)


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


async def refusal(call: Awaitable[Any]) -> tuple[str, str, str]:
    with pytest.raises(Refused) as caught:
        await asyncio.wait_for(call, 5)
    return caught.value.refusal.code, caught.value.refusal.reason, caught.value.refusal.message


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

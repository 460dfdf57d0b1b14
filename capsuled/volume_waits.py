"""Calls on volumes are journaled first and then waited for: until the storage has done them, or cannot."""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

from msgspec.structs import replace

from capsule.v1 import volume_pb2 as pb
from capsuled.answers import Answer, Answers, Ends
from capsuled.engine import Engine
from capsuled.fills import Fills, fills_of
from capsuled.rpc import Refused, driver_status, refuse
from capsuled.wire_volume import volume_message
from effects.volumes.protocol import VolumeDriver
from journal.events import EffectFailed, Event, VolumeDeleteRequested, VolumeRemoved
from projections.refusals import no_volume
from projections.state import Machine, Snapshot, Trouble, Volume
from projections.storage import SeenVolume
from projections.volume_ends import Restoring

WAIT_S = 25.0
"""The field CLI gives a call 30 seconds; it must hear why before it gives up."""
LONG_WAIT_S = 900.0
"""Copies of large volumes take their time where the storage cannot share blocks."""

UNCHANGED = "Nothing was changed"
GOES_ON = "It is tried again by itself"
NOT_MADE = "It is not tried again until another size is asked for"

_BEFORE_SNAPSHOTS = ("EnsureVolume", "RemoveSnapshot")

Seen = dict[tuple[str, int], SeenVolume]


class VolumeWaits:
    """What the services of volumes do: call, and wait. Answers tell of the incarnation that the call met, also when it
    is repeated after that has changed or gone."""

    def __init__(self, engine: Engine, answers: Answers, driver: VolumeDriver) -> None:
        self._engine = engine
        self._answers = answers
        self._driver = driver

    async def _until(
        self,
        name: str,
        uid: int,
        done: Callable[[Volume], bool],
        seconds: float,
        late: str,
        *,
        heeds: Callable[[Trouble], bool],
        given_up: Callable[[Volume, Trouble], str] = lambda volume, trouble: "",
        what_next: str = GOES_ON,
    ) -> Volume | None:
        """The incarnation once it is `done`; None when it has gone. Trouble that stands in its way, as it `heeds`, ends
        the call, which says `what_next`. So does what was asked for and is `given_up`, which says what is so now;
        what another call did not get stands in nobody's way. Nothing is done to a volume that is lost: whoever waits
        for that hears it at once. Past so many seconds the answer is what is `late`, and goes on."""
        mine: Volume | None = None
        try:
            async with asyncio.timeout(seconds):
                async for machine in self._engine.changes():
                    volume = machine.volumes.get(name)
                    mine = volume if volume is not None and volume.uid == uid else None
                    if mine is None:
                        break
                    trouble = mine.trouble
                    if trouble is not None and trouble.permanent and (so_now := given_up(mine, trouble)):
                        refuse_for(trouble, so_now)
                    if done(mine):
                        break
                    if mine.lost and not mine.deleting:
                        refuse_lost(name)
                    if trouble is not None and not trouble.permanent and heeds(trouble):
                        refuse_for(trouble, what_next)
        except TimeoutError:
            refuse("DEADLINE_EXCEEDED", "STILL_WORKING", late)
        await self._engine.durable()  # the state may be ahead of what `changes` has waited for
        return mine

    async def _ended_before(self, answer: Answer, name: str, ends: Ends) -> Event | None:
        """With what that ended which a call asked for that is repeated; None for a new one, and while it goes on. What
        was asked for is not what is so now: it may have been given up, and another call have got its way since."""
        return await self._answers.end(answer, name, ends) if answer.repeated else None

    async def _until_restored(self, answer: Answer, name: str) -> Snapshot | None:
        """Once the content is the snapshot's, what was kept of it before; what was stopped for it is starting again."""
        volume = answer.machine.volumes[name]
        safety = snapshot_of(volume, asked_snapshot(answer))
        match await self._ended_before(answer, name, Restoring(volume, safety).ends):
            case None:
                await self._restores(name, volume, safety)
            case EffectFailed() as failed:
                refuse_for(failed, UNCHANGED)
            case VolumeDeleteRequested() | VolumeRemoved():
                refuse_gone(name)
        return safety

    async def _restores(self, name: str, volume: Volume, safety: Snapshot | None) -> None:

        def given_up(now: Volume, trouble: Trouble) -> str:
            kept = safety is not None and is_of(trouble, "TakeSnapshot", safety.uid)
            mine = now.desired_seq == volume.desired_seq and is_of(trouble, "RestoreVolume", volume.restoring)
            return UNCHANGED if kept or mine else ""

        def heeds(trouble: Trouble) -> bool:
            # It comes after whatever is to be taken, also after what was asked for later.
            return trouble.effect in ("RestoreVolume", "TakeSnapshot", *_BEFORE_SNAPSHOTS)

        late = not_yet(f"volume {name} is not restored", f"get {name}")
        now = await self._until(
            name, volume.uid, lambda one: not one.restoring, LONG_WAIT_S, late, heeds=heeds, given_up=given_up
        )
        if now is None or now.deleting:
            refuse_gone(name)

    def _existing(self, name: str) -> Volume:
        volume = self._engine.machine.volumes.get(name)
        if volume is None:
            raise Refused(no_volume(name, self._engine.machine.volumes))
        return volume

    async def _seen(self) -> Seen:
        return {(one.name, one.uid): one for one in await self._driver.observe()}

    async def _message(self, machine: Machine, volume: Volume) -> pb.Volume:
        """The volume as it was met, with what the storage says now. How full it is may be missing: a guest that hangs
        keeps nobody from seeing the rest."""
        seen, fills = await self._seen(), await fills_of(self._driver, (volume,))
        return self._told(machine, volume, seen, fills)

    async def _messages(self, machine: Machine) -> list[pb.Volume]:
        """Of all volumes, by name."""
        seen = await self._seen()
        volumes = [machine.volumes[name] for name in sorted(machine.volumes)]
        fills = await fills_of(self._driver, volumes)
        return [self._told(machine, volume, seen, fills) for volume in volumes]

    def _told(self, machine: Machine, volume: Volume, seen: Seen, fills: Fills) -> pb.Volume:
        path = self._driver.path(volume.name, volume.uid)
        return volume_message(machine, volume, path, seen.get((volume.name, volume.uid)), fills.known.get(volume.name))


def not_yet(what: str, verb: str) -> str:
    """What to say of what goes on after its call has ended; this verb shows it."""
    return f"{what} yet; it will be: `capsulectl volume {verb}` shows how far that is"


def refuse_gone(name: str) -> NoReturn:
    refuse("ABORTED", "DELETED", f"volume {name} was deleted while this call waited for it", "name")


def refuse_lost(name: str) -> NoReturn:
    message = (
        f"volume {name} was lost while this call waited for it, and is not in the storage any more: bring it back "
        f"there, or have an export of it in its place (`capsulectl volume import {name} FILE`)"
    )
    refuse("DATA_LOSS", "VOLUME_MISSING", message, "name")


def refuse_for(trouble: Trouble | EffectFailed, what_next: str) -> NoReturn:
    refuse(driver_status(trouble.reason).name, trouble.reason, f"{trouble.message.rstrip('.')}. {what_next}")


def as_made(asked: Volume) -> Volume:
    """The volume right after a call that asked for its size, once it has that."""
    return replace(asked, made_bytes=asked.size_bytes, staged="")


def snapshot_of(volume: Volume | None, uid: int) -> Snapshot | None:
    return None if volume is None else next((one for one in volume.snapshots if one.uid == uid), None)


def asked_snapshot(answer: Answer) -> int:
    """The uid of the snapshot that the call asked for: its first event's entry stands behind the call's own."""
    return answer.seq + 1


def is_of(trouble: Trouble, effect: str, snapshot: int) -> bool:
    """Whether the trouble is of this effect on this snapshot."""
    return (trouble.effect, trouble.snapshot) == (effect, snapshot)


def holds_up(trouble: Trouble, snapshot: int) -> bool:
    """Whether this snapshot is not taken for it: it is trouble with just that, or with what comes before. They are
    taken in the order of their uids, and none before what comes before any."""
    before = trouble.effect == "TakeSnapshot" and trouble.snapshot <= snapshot
    return before or trouble.effect in _BEFORE_SNAPSHOTS


def label_now(what: str) -> str:
    """A name from the wall clock, for people: order is the snapshot's uid."""
    return f"{what}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"

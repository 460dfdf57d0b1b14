"""Volumes kept over an update: their snapshots are taken when the new system is on the disk, before anything is armed,
and forgotten once nobody needs them for going back.
"""

import asyncio

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused
from capsuled.volume_waits import LONG_WAIT_S, UNCHANGED, is_of, refuse_for, refuse_lost, snapshot_of
from journal.entry import SYSTEM
from projections.intents import DeleteSnapshot, TakeSnapshot
from projections.refusals import Refusal, refused
from projections.state import Update
from projections.update_data import outlived


async def keep(engine: Engine, update: Update, cause: int) -> None:
    """A snapshot of each of the update's volumes is there. Raises Refused where one cannot be had."""
    for name in update.keeps:
        own = Caller(SYSTEM, "SnapshotService.Take", cause=cause)
        outcome = await engine.call(TakeSnapshot(name, update.snapshot), own)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        try:
            async with asyncio.timeout(LONG_WAIT_S):
                await _taken(engine, name, outcome.seq + 1)
        except TimeoutError:
            words = f"the snapshot of volume {name} was not taken in {LONG_WAIT_S / 60:.0f} minutes"
            raise Refused(refused("DEADLINE_EXCEEDED", "NOT_KEPT", f"{words}: nothing is booted")) from None


async def _taken(engine: Engine, name: str, uid: int) -> None:
    async for machine in engine.changes():
        volume = machine.volumes.get(name)
        if volume is not None and (trouble := volume.trouble) is not None and is_of(trouble, "TakeSnapshot", uid):
            refuse_for(trouble, UNCHANGED)
        snapshot = snapshot_of(volume, uid)
        if snapshot is None:
            words = f"volume {name} or its snapshot was deleted meanwhile: nothing is booted"
            raise Refused(refused("ABORTED", "NOT_KEPT", words))
        if snapshot.taken:
            return
        if volume is not None and volume.lost and not volume.deleting:
            refuse_lost(name)


async def forget(engine: Engine) -> None:
    """What two confirmed updates have outlived is deleted; a snapshot that is in use goes with the next start."""
    for name, label in outlived(engine.machine):
        await engine.call(DeleteSnapshot(name, label), Caller(SYSTEM, "SnapshotService.Delete"))

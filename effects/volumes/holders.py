"""The guests of attached volumes, found by who holds each: its run, and where it has the volume, as the state says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from effects.errors import GuestFailed, NotRunning, RuntimeUnavailable
from effects.recorder import Recorder
from effects.runs import guest_protocol
from effects.volumes.guests import silent
from projections.phases import LIVE, RunPhase
from projections.storage import Fill

_ANSWERS = frozenset({RunPhase.RUNNING})


class _Place(NamedTuple):
    """A volume in a run: the workload's name and uid, the run's number, the path inside."""

    name: str
    uid: int
    run: int
    target: str


class HolderGuests:
    """See the protocol. `guests` are those of the runs."""

    def __init__(self, recorder: Recorder, guests: guest_protocol.Guests) -> None:
        self._recorder = recorder
        self._guests = guests

    @asynccontextmanager
    async def frozen(self, name: str, uid: int) -> AsyncIterator[None]:
        """See the protocol."""
        place = self._place(name, uid, LIVE)
        if place is None:
            raise silent(name)
        try:
            async with self._guests.frozen(*place):
                yield
        except (NotRunning, RuntimeUnavailable) as error:
            raise silent(name) from error

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        # One that boots cannot answer yet, and one that ends may do so any moment: neither is waited for.
        place = self._place(name, uid, _ANSWERS)
        if place is None:
            return None
        try:
            said = await self._guests.usage(*place)
        except NotRunning:  # it has ended, which the state does not know yet
            return None
        if said is None:
            raise GuestFailed(f"the guest of {place.name} does not say how full volume {name} is")
        volume = self._recorder.machine.volumes.get(name)
        if volume is None or volume.uid != uid:
            return None
        # A guest may say anything: no more than there can be is believed.
        total = min(said.total_bytes, volume.size_bytes)
        return Fill(total, min(said.used_bytes, total))

    def _place(self, name: str, uid: int, phases: frozenset[RunPhase]) -> _Place | None:
        """Where the volume is, if a run in one of these phases has it."""
        machine = self._recorder.machine
        volume = machine.volumes.get(name)
        holder = None if volume is None or volume.uid != uid else machine.workloads.get(volume.holder)
        if volume is None or holder is None or holder.uid != volume.holder_uid or holder.run is None:
            return None
        if holder.run.phase not in phases:
            return None
        spec = holder.run.spec or holder.spec  # it may be declared otherwise by now
        targets = (mount.mount_path for mount in spec.mounts if mount.volume_name == name)
        target = next(targets, "")
        return _Place(holder.name, holder.uid, holder.run.number, target) if target else None

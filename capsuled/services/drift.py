"""DriftService: where the world differs from what is wanted, once or as it goes on."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from capsule.v1 import drift_pb2 as pb
from capsule.v1.drift_pb2_grpc import DriftServiceServicer
from capsuled.engine import Engine
from capsuled.rpc import refuse
from capsuled.wire_drift import difference_message
from projections.drift import Difference, Label, drift, named, unknown
from projections.state import Machine


class DriftService(DriftServiceServicer):
    """See proto/capsule/v1/drift.proto."""

    def __init__(self, engine: Engine, found: Callable[[Machine], tuple[Difference, ...]] = drift) -> None:
        self._engine = engine
        self._find = found
        self._found: tuple[int, tuple[Difference, ...]] = (-1, ())

    def _selected(self, machine: Machine, request: pb.DriftRequest) -> list[Difference]:
        """All differences are found out once after an entry, for however many that watch."""
        if self._found[0] != machine.seq:
            self._found = (machine.seq, self._find(machine))
        wanted = frozenset(request.labels)
        found = named(self._found[1], frozenset(request.names))
        return [one for one in found if not wanted or one.label in wanted]

    async def List(self, request: pb.DriftRequest, context: Any) -> pb.DriftListResponse:
        """As of the head state, durably."""
        machine = self._engine.machine
        _check(machine, request)
        return pb.DriftListResponse(
            differences=[difference_message(one) for one in self._selected(machine, request)], seq=machine.seq
        )

    async def Watch(self, request: pb.DriftRequest, context: Any) -> AsyncIterator[pb.DriftWatchItem]:
        """What was shown is compared with what there is now."""
        _check(self._engine.machine, request)
        shown: dict[tuple[str, str], Difference] = {}
        synced = False
        async for machine in self._engine.changes():
            now = {one.key: one for one in self._selected(machine, request)}
            seq = machine.seq
            items = [
                pb.DriftWatchItem(difference=difference_message(one), seq=seq)
                for key, one in now.items()
                if shown.get(key) != one
            ]
            items += [
                pb.DriftWatchItem(difference=difference_message(one), resolved=True, seq=seq)
                for key, one in shown.items()
                if key not in now
            ]
            shown = now
            # An await lies between here and the next look: what is sent must be on the disk first.
            await self._engine.durable(seq)
            for item in items:
                yield item
            if not synced:
                synced = True
                yield pb.DriftWatchItem(synced=True, seq=seq)


def _check(machine: Machine, request: pb.DriftRequest) -> None:
    strange = [label for label in request.labels if label not in list(Label)]
    if strange:
        refuse("INVALID_ARGUMENT", "BAD_LABEL", f"{strange[0][:64]} is no label: {', '.join(Label)}", "labels")
    nobody = unknown(machine, frozenset(request.names))
    if nobody:
        refuse("NOT_FOUND", "OBJECT_NOT_FOUND", f"nothing here is called {nobody[0][:64]}", "names")

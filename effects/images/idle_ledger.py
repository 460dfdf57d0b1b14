"""How long each of containerd's leases has been idle, as far as a daemon was there to see it: kept in containerd, so
that the count goes on in the next life of the daemon and in the next boot.

containerd 1.6 can neither change a lease's labels nor be told of them later. So one lease of its own, which holds
nothing, has a label for each idle one: its seconds. Only time that passed while a daemon ran counts, by a clock that
nobody sets. A power cut while it is written begins the count anew.
"""

import asyncio
from collections.abc import Callable, Collection

import grpc

from containerdapi import leases_pb2
from effects.containerd.connection import Connection, tolerated

LEDGER = "idle-leases"


class IdleLedger:
    """The ledger of one capsule. `clock` counts seconds, and nobody sets it."""

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._counted_s = clock()
        self._writing = asyncio.Lock()

    async def count(self, idle: Collection[str]) -> dict[str, int]:
        """For how many seconds each of these has been idle, now that they are seen so. Raises DriverError."""
        async with self._writing:
            known, now_s = await self._read(), self._clock()
            passed_s = round(now_s - self._counted_s)
            found = {name: known[name] + passed_s if name in known else 0 for name in idle}
            if found != known:
                await self._write(found)
            self._counted_s += passed_s
            return found

    async def _read(self) -> dict[str, int]:
        request = leases_pb2.ListRequest(filters=[f"id=={LEDGER}"])
        with tolerated():
            answer = await self._connection.leases.List(request, metadata=self._connection.metadata)
        labels = [(name, text) for lease in answer.leases for name, text in lease.labels.items()]
        return {name: int(text) for name, text in labels if text.isdecimal()}

    async def _write(self, seconds: dict[str, int]) -> None:
        leases, metadata = self._connection.leases, self._connection.metadata
        with tolerated(grpc.StatusCode.NOT_FOUND):
            await leases.Delete(leases_pb2.DeleteRequest(id=LEDGER), metadata=metadata)
        if seconds:
            labels = {name: str(one) for name, one in seconds.items()}
            with tolerated():
                await leases.Create(leases_pb2.CreateRequest(id=LEDGER, labels=labels), metadata=metadata)

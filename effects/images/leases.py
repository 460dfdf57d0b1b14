"""Leases on containerd's content: what is being made is kept from garbage collection, and half-made things for a while.

Whoever makes something takes a lease. When it is done, the lease goes, and names keep what they need. When it was
interrupted, the lease stays, so that another try finds the blobs and parts of blobs that have come; it goes with the
next try that has as much, with `drop_idle`, or after a day. When it failed for good, or nothing had come, everything
goes at once; and when the disk was full, for others need what it took (room.py keeps the next try from that).

containerd is told of no end: it would go by the wall clock, and one that is set would end what is under way. The day is
counted here (idle_ledger.py), from when the lease was first found idle, by another try or by the look once an hour.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import grpc
import msgspec

from containerdapi import leases_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, Metadata, tolerated, translated
from effects.errors import DriverError, RegistryUnreachable, RuntimeUnavailable, SenderQuiet
from effects.images.idle_ledger import IdleLedger

KEPT_S = 24 * 3_600
LOOK_S = 3_600
_PREFIX = "capsule-"
_CONTENT = ("content", "ingests")
_LAYERS = f"snapshots/{SNAPSHOTTER}"


class Lease(msgspec.Struct, frozen=True):
    """A lease: `metadata` goes with every call that makes something."""

    id: str
    metadata: Metadata


class Leases:
    """The leases of one capsule. `clock` counts seconds, and nobody sets it."""

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._ledger = IdleLedger(connection, clock)
        self._active: set[str] = set()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[Lease]:
        """A lease for one try at something. Raises DriverError."""
        lease = await self._take()
        try:
            yield lease
        except (asyncio.CancelledError, RuntimeUnavailable):
            raise  # to be continued
        except (RegistryUnreachable, SenderQuiet):
            await self._interrupted(lease)
            raise
        except BaseException:
            await self._drop(lease.id, sync=True)
            raise
        else:
            await self._finish(lease)
        finally:
            self._active.discard(lease.id)

    async def run(self) -> None:
        """Give up whose day is over, until cancelled: no other try may ever come. A life that ends unasked has counted
        all but its last hour."""
        while True:
            await asyncio.sleep(LOOK_S)
            with suppress(DriverError):  # containerd is away: the next look counts this hour, too
                await self.look()

    async def look(self) -> None:
        """Those whose day is over go. Raises DriverError."""
        counted = await self._ledger.count(await self._idle())
        await self._drop_all([name for name, idle_s in counted.items() if idle_s >= KEPT_S])

    async def drop_idle(self) -> int:
        """Give up what interrupted tries have left; how many there were."""
        idle = await self._idle()
        await self._drop_all(idle)
        await self._ledger.count(await self._idle())
        return len(idle)

    async def hold_layer(self, chain_id: str, lease: Lease) -> None:
        """An unpacked layer stays as long as the lease, if it is there: looking at it does not keep it."""
        resource = leases_pb2.Resource(id=chain_id, type=_LAYERS)
        request = leases_pb2.AddResourceRequest(id=lease.id, resource=resource)
        with tolerated():
            await self._connection.leases.AddResource(request, metadata=self._connection.metadata)

    async def _take(self) -> Lease:
        name = f"{_PREFIX}{uuid.uuid4().hex}"
        request = leases_pb2.CreateRequest(id=name)
        self._active.add(name)
        try:
            with tolerated():
                await self._connection.leases.Create(request, metadata=self._connection.metadata)
        except BaseException:
            self._active.discard(name)
            raise
        return Lease(name, (*self._connection.metadata, ("containerd-lease", name)))

    async def _finish(self, lease: Lease) -> None:
        """Done."""
        with suppress(DriverError):  # what was made is made; they go when their day is over
            await self._supersede(lease)
        await self._drop(lease.id)

    async def _interrupted(self, lease: Lease) -> None:
        """To be continued, if there is anything to continue with."""
        with suppress(DriverError):
            if not await self._supersede(lease):
                await self._drop(lease.id)

    async def _supersede(self, lease: Lease) -> set[str]:
        """What the lease keeps. Earlier tries go of which all that they keep is here as well, and those whose day is
        over."""
        mine = await self._content(lease.id)
        for name in await self._idle():
            if await self._content(name) <= mine:
                await self._drop(name)
        await self.look()
        return mine

    async def _idle(self) -> list[str]:
        return [name for name in await self._ids() if name not in self._active]

    async def _ids(self) -> list[str]:
        with tolerated():
            answer = await self._connection.leases.List(leases_pb2.ListRequest(), metadata=self._connection.metadata)
        return [lease.id for lease in answer.leases if lease.id.startswith(_PREFIX)]

    async def _content(self, lease: str) -> set[str]:
        """The blobs and parts of blobs that a lease keeps: by digest, or by a write's name, which has it in it."""
        request = leases_pb2.ListResourcesRequest(id=lease)
        try:
            answer = await self._connection.leases.ListResources(request, metadata=self._connection.metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return set()
            raise translated(error) from error
        return {one.id.removeprefix(_PREFIX) for one in answer.resources if one.type in _CONTENT}

    async def _drop_all(self, leases: list[str]) -> None:
        for number, lease in enumerate(leases, 1):
            await self._drop(lease, sync=number == len(leases))

    async def _drop(self, lease: str, sync: bool = False) -> None:
        """Without its lease nothing holds what has no name; `sync` waits until it is gone."""
        request = leases_pb2.DeleteRequest(id=lease, sync=sync)
        try:
            await self._connection.leases.Delete(request, metadata=self._connection.metadata)
        except grpc.aio.AioRpcError:
            return  # not there, or containerd is gone: then it goes when its day is over

"""Leases on containerd's content: what is being made is kept from garbage collection, and half-made things for a while.

Whoever makes something takes a lease. When it is done, the lease goes, and names keep what they need. When it was
interrupted, the lease stays, so that another try finds the blobs and parts of blobs that have come; it goes with that
try's success, with `drop_idle`, or after a day. When it failed for good, everything goes at once.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import msgspec

from containerdapi import leases_pb2
from effects.containerd.connection import Connection, Metadata, tolerated, translated
from effects.errors import DriverError, RegistryUnreachable, RuntimeUnavailable

KEPT_S = 24 * 3_600
_PREFIX = "capsule-"
_CONTENT = ("content", "ingests")


class Lease(msgspec.Struct, frozen=True):
    """A lease: `metadata` goes with every call that makes something."""

    id: str
    metadata: Metadata


class Leases:
    """The leases of one capsule."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._active: set[str] = set()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[Lease]:
        """A lease for one try at something. Raises DriverError."""
        lease = await self._take()
        try:
            yield lease
        except (asyncio.CancelledError, RuntimeUnavailable, RegistryUnreachable):
            raise  # to be continued
        except BaseException:
            await self._drop(lease.id, sync=True)
            raise
        else:
            await self._finish(lease)
        finally:
            self._active.discard(lease.id)

    async def drop_idle(self) -> int:
        """Give up what interrupted tries have left; how many there were."""
        idle = [lease for lease in await self._ids() if lease not in self._active]
        for number, lease in enumerate(idle, 1):
            await self._drop(lease, sync=number == len(idle))
        return len(idle)

    async def _take(self) -> Lease:
        name = f"{_PREFIX}{uuid.uuid4().hex}"
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + KEPT_S))
        request = leases_pb2.CreateRequest(id=name, labels={"containerd.io/gc.expire": expires})
        self._active.add(name)
        try:
            with tolerated():
                await self._connection.leases.Create(request, metadata=self._connection.metadata)
        except BaseException:
            self._active.discard(name)
            raise
        return Lease(name, (*self._connection.metadata, ("containerd-lease", name)))

    async def _finish(self, lease: Lease) -> None:
        """Done. Earlier tries at it are superseded: all that they keep is here as well."""
        try:
            others = [name for name in await self._ids() if name not in self._active]
            if others:
                mine = await self._content(lease.id)
                for name in others:
                    if await self._content(name) <= mine:
                        await self._drop(name)
        except DriverError:
            pass  # what was made is made; they go when their day is over
        await self._drop(lease.id)

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

    async def _drop(self, lease: str, sync: bool = False) -> None:
        """Without its lease nothing holds what has no name; `sync` waits until it is gone."""
        request = leases_pb2.DeleteRequest(id=lease, sync=sync)
        try:
            await self._connection.leases.Delete(request, metadata=self._connection.metadata)
        except grpc.aio.AioRpcError:
            return  # not there, or containerd is gone: then it goes when its day is over

"""An image's layers as they lie on the disk, for whoever reads them there: a view keeps them as long as he does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, translated
from effects.containerd.passing import Passing
from effects.images.leases import Leases
from effects.images.rootfs import RootFsSource, missing


class Views:
    """Those of one reader. `passing` are his."""

    def __init__(self, connection: Connection, images: RootFsSource, leases: Leases, passing: Passing) -> None:
        self._connection = connection
        self._images = images
        self._leases = leases
        self._passing = passing

    async def sweep(self) -> None:
        """No view is there but those in use here. Raises DriverError."""
        await self._passing.sweep()

    @asynccontextmanager
    async def of(self, digest: str) -> AsyncIterator[Any]:
        """How the layers of the image with this digest are mounted; inside, they stay. Raises ImageMissing,
        ImageUnreadable, NoSpace, RuntimeUnavailable."""
        root = await self._images.rootfs(digest)
        async with self._leases.taken() as lease:
            await self._passing.drop()
            key = self._passing.key()
            request = snapshots_pb2.ViewSnapshotRequest(snapshotter=SNAPSHOTTER, key=key, parent=root.chain_id)
            try:
                try:
                    mounts = (await self._connection.snapshots.View(request, metadata=lease.metadata)).mounts
                except grpc.aio.AioRpcError as error:
                    if error.code() == grpc.StatusCode.NOT_FOUND:
                        raise missing(self._images, digest) from error
                    raise translated(error) from error
                yield mounts
            finally:
                await self._passing.drop(key)

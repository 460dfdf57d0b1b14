"""The private writable layer of a workload's container, one for each revision: a snapshot that outlives runs."""

import logging
from typing import Any

import grpc

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated, translated
from effects.containerd.snapshots import prepared, topmost
from effects.images.rootfs import RootFs, RootFsSource, missing
from effects.runs import names
from effects.runs.protocol import RunSpec

log = logging.getLogger(__name__)


class Layers:
    """Those of one capsule, on the layers of its images."""

    def __init__(self, connection: Connection, images: RootFsSource) -> None:
        self._connection = connection
        self._images = images
        self._metadata = connection.metadata

    async def ensure(self, run: RunSpec, key: str, rootfs: RootFs) -> Any:
        """The revision's is there, and no other's; returns its mounts. Raises ImageMissing and RuntimeUnavailable."""
        # The label keeps it from garbage collection in the moment before its container exists.
        labels = {names.NAME: run.name, names.UID: str(run.uid), "containerd.io/gc.root": "1"}
        try:
            mounts = await prepared(self._connection, key, rootfs.chain_id, labels, self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise missing(self._images, run.image) from error
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise translated(error) from error
            mounts = await self._there(key)
            if not topmost(mounts).exists():
                # containerd's record is durable before the directory's name: nothing that was synced lay in it.
                log.warning("the layer of %s was lost, as by a power cut: it is made anew", run.name)
                await self._remove(key)
                return await self.ensure(run, key, rootfs)
        if run.revision != run.uid:
            # Also where this revision's was there: the try that made it may have been cut before it came to this.
            await self.drop(run.name, run.uid, keep=key)
        return mounts

    async def drop(self, name: str, uid: int, keep: str = "") -> None:
        """The incarnation has none, but for the one to keep. Raises DriverError."""
        asked = snapshots_pb2.ListSnapshotsRequest(snapshotter=SNAPSHOTTER, filters=[names.incarnation(name, uid)])
        with tolerated(grpc.StatusCode.NOT_FOUND):
            async for page in self._connection.snapshots.List(asked, metadata=self._metadata):
                for info in page.info:
                    if info.name != keep:
                        await self._remove(info.name)

    async def _there(self, key: str) -> Any:
        with tolerated():
            asked = snapshots_pb2.MountsRequest(snapshotter=SNAPSHOTTER, key=key)
            return (await self._connection.snapshots.Mounts(asked, metadata=self._metadata)).mounts

    async def _remove(self, key: str) -> None:
        with tolerated(grpc.StatusCode.NOT_FOUND):
            request = snapshots_pb2.RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=key)
            await self._connection.snapshots.Remove(request, metadata=self._metadata)

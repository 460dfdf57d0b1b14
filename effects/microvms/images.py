"""Images as microVMs use them: their disks, their configs, and the users that they know."""

import uuid
from pathlib import Path

import grpc

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated, translated
from effects.errors import ImageMissing
from effects.images.leases import Leases
from effects.images.rootfs import RootFsSource
from effects.microvms.protocol import Payload
from effects.payloads.protocol import PayloadDisks
from effects.runs.process import Identity
from effects.runs.users import layer_directories, resolve

_VIEW = "accounts-"


class PayloadImages:
    """See PayloadSource."""

    def __init__(self, connection: Connection, images: RootFsSource, leases: Leases, disks: PayloadDisks) -> None:
        self._connection = connection
        self._images = images
        self._leases = leases
        self._disks = disks

    async def payload(self, digest: str) -> Payload:
        """See PayloadSource."""
        disk = await self._disks.ensure(digest)
        root = await self._images.rootfs(digest)
        return Payload(Path(disk), root.config)

    async def identity(self, digest: str, user: str) -> Identity:
        """See PayloadSource. The layers' files are looked at where they lie, while a view keeps them there."""
        if not user:
            return Identity()
        root = await self._images.rootfs(digest)
        async with self._leases.taken() as lease:
            key = f"{_VIEW}{uuid.uuid4().hex}"
            request = snapshots_pb2.ViewSnapshotRequest(snapshotter=SNAPSHOTTER, key=key, parent=root.chain_id)
            try:
                mounts = (await self._connection.snapshots.View(request, metadata=lease.metadata)).mounts
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    self._images.forget(digest)
                    raise ImageMissing(f"the layers of {digest} are not in the image cache: push it again") from error
                raise translated(error) from error
            try:
                return resolve(
                    user, layer_directories((mount.type, mount.source, tuple(mount.options)) for mount in mounts)
                )
            finally:
                asked = snapshots_pb2.RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=key)
                with tolerated(grpc.StatusCode.NOT_FOUND):
                    await self._connection.snapshots.Remove(asked, metadata=self._connection.metadata)

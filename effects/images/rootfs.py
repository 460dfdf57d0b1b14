"""From a manifest's digest to something a container can stand on: unpacked layers and the image's config."""

import asyncio
import uuid
from typing import Protocol

import grpc
import msgspec

from containerdapi import diff_pb2, snapshots_pb2, types_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, Metadata, tolerated, translated
from effects.containers.spec import ImageConfig
from effects.errors import ImageMissing, ImageUnreadable
from effects.images.content import ContentStore
from effects.images.oci import Descriptor, Manifest, chain_ids, parse, parse_config

_KEPT = 256


class RootFs(msgspec.Struct, frozen=True):
    """The topmost unpacked layer, by chain id, and what the image says of the process."""

    chain_id: str
    config: ImageConfig


class RootFsSource(Protocol):
    """What the driver of containers needs of the image cache."""

    async def rootfs(self, digest: str) -> RootFs:
        """Unpack the manifest's layers where that was not done yet. Raises ImageMissing, ImageUnreadable, NoSpace."""
        ...

    def forget(self, digest: str) -> None:
        """The layers turned out not to be there: look again next time."""
        ...


class Unpacker:
    """Unpacks each manifest once, however many ask at the same time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._content = ContentStore(connection)
        self._known: dict[str, asyncio.Future[RootFs]] = {}

    async def rootfs(self, digest: str) -> RootFs:
        """See RootFsSource."""
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = asyncio.ensure_future(self._unpacked(digest, self._connection.metadata))
            if len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        try:
            return await asyncio.shield(known)
        except BaseException:
            if known.done():
                self._known.pop(digest, None)
            raise

    def forget(self, digest: str) -> None:
        """See RootFsSource."""
        self._known.pop(digest, None)

    async def unpack(self, digest: str, metadata: Metadata) -> RootFs:
        """Unpack under a lease: `metadata` names it."""
        return await self._unpacked(digest, metadata)

    async def _unpacked(self, digest: str, metadata: Metadata) -> RootFs:
        manifest = parse(await self._content.read(digest), Manifest, "manifest")
        config, diff_ids = parse_config(await self._content.read(manifest.config.digest))
        if len(diff_ids) != len(manifest.layers):
            raise ImageUnreadable("the image's config and manifest speak of different numbers of layers")
        parent = ""
        for layer, diff_id, chain_id in zip(manifest.layers, diff_ids, chain_ids(diff_ids), strict=True):
            if not await self._exists(chain_id, metadata):
                await self._apply(layer, diff_id, chain_id, parent, metadata)
            parent = chain_id
        if parent:
            reference = {f"containerd.io/gc.ref.snapshot.{SNAPSHOTTER}": parent}
            await self._content.label(manifest.config.digest, reference, metadata)
        return RootFs(parent, config)

    async def _exists(self, chain_id: str, metadata: Metadata) -> bool:
        request = snapshots_pb2.StatSnapshotRequest(snapshotter=SNAPSHOTTER, key=chain_id)
        try:
            await self._connection.snapshots.Stat(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return False
            raise translated(error) from error
        return True

    async def _apply(self, layer: Descriptor, diff_id: str, chain_id: str, parent: str, metadata: Metadata) -> None:
        snapshots = self._connection.snapshots
        key = f"extract-{uuid.uuid4().hex} {chain_id}"
        prepare = snapshots_pb2.PrepareSnapshotRequest(
            snapshotter=SNAPSHOTTER, key=key, parent=parent, labels={"containerd.io/gc.root": "1"}
        )
        with tolerated():
            mounts = (await snapshots.Prepare(prepare, metadata=metadata)).mounts
        try:
            blob = types_pb2.Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)
            applied = (
                await self._connection.diff.Apply(diff_pb2.ApplyRequest(diff=blob, mounts=mounts), metadata=metadata)
            ).applied
            if applied.digest != diff_id:
                raise ImageUnreadable(f"a layer unpacks to {applied.digest}, but the image's config says {diff_id}")
            commit = snapshots_pb2.CommitSnapshotRequest(snapshotter=SNAPSHOTTER, name=chain_id, key=key)
            with tolerated(grpc.StatusCode.ALREADY_EXISTS):
                await snapshots.Commit(commit, metadata=metadata)
                return
            await self._drop(key, metadata)
        except grpc.aio.AioRpcError as error:
            await self._drop(key, metadata)
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise ImageMissing(
                    f"a layer ({layer.digest}) is not in the image cache: push the image again"
                ) from error
            failure = translated(error)
            if failure.reason == "START_FAILED":
                raise ImageUnreadable(f"a layer of the image cannot be unpacked: {failure.message}") from error
            raise failure from error
        except BaseException:
            await self._drop(key, metadata)
            raise

    async def _drop(self, key: str, metadata: Metadata) -> None:
        try:
            request = snapshots_pb2.RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=key)
            await self._connection.snapshots.Remove(request, metadata=metadata)
        except grpc.aio.AioRpcError:
            return  # not there, or containerd is gone: a later clean-up finds it by its name

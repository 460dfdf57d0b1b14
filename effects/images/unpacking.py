"""One layer of an image: unpacked into containerd's snapshots, and all of it on the disk before it is called so.

containerd 1.6 writes a layer's files and syncs none of them, but its record that the layer is there is durable at once:
a power cut within half a minute left a layer of empty files that passed for whole. So the files are synced before the
layer is committed, and the layer has a label that says it.

A layer without the label is of a release that did not sync, or of another tool. It is looked at once: what its files
take now against what containerd counted when it committed them. Where something is lost it is unpacked anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from containerdapi import diff_pb2, snapshots_pb2, types_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated, translated
from effects.containerd.passing import Passing
from effects.containerd.snapshots import files_of, prepared, topmost
from effects.errors import DriverError, ImageCorrupt, ImageMissing, ImageUnreadable, unwritten
from effects.images.leases import Lease
from effects.images.mended_layers import put_in_place
from effects.images.oci import LAYER_TYPE, Descriptor
from effects.images.on_disk import Taken, sync_around, taken
from effects.threads import on_thread

SYNCED_LABEL = "capsule.synced"
_SCRATCH = "extract-"
_UNWRITTEN = partial(unwritten, "an unpacked layer of an image")
_AS_CONTAINERD_HAS_IT = {"application/vnd.docker.image.rootfs.diff.tar.zstd": f"{LAYER_TYPE}+zstd"}
"""containerd 1.6 unpacks zstd by this name alone; that of schema 2 it refuses."""

log = logging.getLogger(__name__)


class Unpacking:
    """The unpacked layers of one containerd, by chain id."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._passing = Passing(connection, _SCRATCH)
        self._mending = asyncio.Lock()

    async def sweep(self) -> None:
        """Remove what an unpacking left that ended with its daemon. What this one unpacks meanwhile stays."""
        await self._passing.sweep()

    async def exists(self, chain_id: str, lease: Lease) -> bool:
        """Whether containerd has a record of the layer."""
        return await self._info(chain_id, lease) is not None

    async def ensure(self, layer: Descriptor, diff_id: str, chain_id: str, parent: str, lease: Lease) -> bool:
        """The layer is unpacked on `parent` and on the disk; whether it was not there before. Raises ImageMissing,
        ImageCorrupt, ImageUnreadable, NoSpace."""
        info = await self._info(chain_id, lease)
        if info is None:
            await self._make(layer, diff_id, chain_id, parent, lease)
        elif SYNCED_LABEL not in info.labels:
            async with self._mending:
                await self._look_after(layer, diff_id, chain_id, parent, lease)
        return info is None

    async def _info(self, chain_id: str, lease: Lease) -> Any | None:
        request = snapshots_pb2.StatSnapshotRequest(snapshotter=SNAPSHOTTER, key=chain_id)
        with tolerated(grpc.StatusCode.NOT_FOUND):
            return (await self._connection.snapshots.Stat(request, metadata=lease.metadata)).info
        return None

    # --- a new one -----------------------------------------------------------------------------------------------

    async def _make(self, layer: Descriptor, diff_id: str, chain_id: str, parent: str, lease: Lease) -> None:
        async with self._filled(layer, diff_id, chain_id, parent, lease) as (key, _):
            commit = snapshots_pb2.CommitSnapshotRequest(
                snapshotter=SNAPSHOTTER, name=chain_id, key=key, labels={SYNCED_LABEL: "yes"}
            )
            with tolerated(grpc.StatusCode.ALREADY_EXISTS):
                await self._connection.snapshots.Commit(commit, metadata=lease.metadata)
                self._passing.done(key)

    @asynccontextmanager
    async def _filled(
        self, layer: Descriptor, diff_id: str, chain_id: str, parent: str, lease: Lease
    ) -> AsyncIterator[tuple[str, Path]]:
        """A passing snapshot on `parent` with all that the layer has, on the disk: its key and its directory."""
        await self._passing.drop()
        key = self._passing.key(f" {chain_id}")
        try:
            try:
                mounts = await prepared(self._connection, key, parent, {}, lease.metadata)
                kind = _AS_CONTAINERD_HAS_IT.get(layer.media_type, layer.media_type)
                blob = types_pb2.Descriptor(media_type=kind, digest=layer.digest, size=layer.size)
                request = diff_pb2.ApplyRequest(diff=blob, mounts=mounts)
                applied = (await self._connection.diff.Apply(request, metadata=lease.metadata)).applied
            except grpc.aio.AioRpcError as error:
                raise _apply_error(error, layer) from error
            if applied.digest != diff_id:
                raise ImageCorrupt(f"a layer unpacks to {applied.digest}, but the image's config says {diff_id}")
            directory = topmost(mounts)
            await on_thread(lambda: sync_around(directory), _UNWRITTEN)
            yield key, directory
        finally:
            if self._passing.owns(key):
                await self._passing.drop(key)

    # --- one of an earlier release -------------------------------------------------------------------------------

    async def _look_after(self, layer: Descriptor, diff_id: str, chain_id: str, parent: str, lease: Lease) -> None:
        info = await self._info(chain_id, lease)
        if info is not None and SYNCED_LABEL in info.labels:
            return  # somebody else has just done it
        place, counted = await self._place(chain_id, lease), await self._counted(chain_id, lease)
        found = await on_thread(lambda: taken(place), _UNWRITTEN)
        if found.size_bytes < counted.size_bytes or found.inodes < counted.inodes:
            log.warning(
                "%s has lost files, as by a power cut: the layer is unpacked anew from %s. Containers that run from it "
                "keep what is left of the old one until their next start; the machine's next boot removes it",
                place,
                layer.digest,
            )
            async with self._filled(layer, diff_id, chain_id, parent, lease) as (_, fresh):
                await on_thread(lambda: put_in_place(fresh, place), _UNWRITTEN)
        else:
            await on_thread(lambda: sync_around(place), _UNWRITTEN)
        await self._call_synced(chain_id, lease)

    async def _place(self, chain_id: str, lease: Lease) -> Path:
        """The directory with the layer's files."""
        key = self._passing.key()
        try:
            return await files_of(self._connection, chain_id, key, lease.metadata)
        finally:
            await self._passing.drop(key)

    async def _counted(self, chain_id: str, lease: Lease) -> Taken:
        """What the layer took when it was committed, by containerd's own record of it."""
        request = snapshots_pb2.UsageRequest(snapshotter=SNAPSHOTTER, key=chain_id)
        with tolerated():
            usage = await self._connection.snapshots.Usage(request, metadata=lease.metadata)
        return Taken(int(usage.size), int(usage.inodes))

    async def _call_synced(self, chain_id: str, lease: Lease) -> None:
        request = snapshots_pb2.UpdateSnapshotRequest(
            snapshotter=SNAPSHOTTER,
            info=snapshots_pb2.Info(name=chain_id, labels={SYNCED_LABEL: "yes"}),
            update_mask={"paths": [f"labels.{SYNCED_LABEL}"]},
        )
        with tolerated():
            await self._connection.snapshots.Update(request, metadata=lease.metadata)


def _apply_error(error: grpc.aio.AioRpcError, layer: Descriptor) -> DriverError:
    if error.code() == grpc.StatusCode.NOT_FOUND:
        return ImageMissing(f"a layer ({layer.digest}) is not in the image cache: push or pull the image again")
    failure = translated(error)
    if failure.reason == "START_FAILED":
        return ImageUnreadable(f"a layer of the image cannot be unpacked: {failure.message}")
    return failure

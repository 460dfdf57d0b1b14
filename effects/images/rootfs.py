"""From a manifest's digest to something a container can stand on: unpacked layers and the image's config."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc
import msgspec

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated
from effects.errors import ImageMissing, ImageUnreadable
from effects.images.content import ContentStore
from effects.images.leases import Lease, Leases
from effects.images.oci import Descriptor, Manifest, chain_ids, parse, parse_config
from effects.images.room import Promise
from effects.images.unpacking import Unpacking
from effects.runs.process import ImageConfig

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


def missing(images: RootFsSource, digest: str) -> ImageMissing:
    """What it is that an image's layers are not there: they are looked for again next time."""
    images.forget(digest)
    return ImageMissing(f"the layers of {digest} are not in the image cache: push the image again")


Arrived = Callable[[str], Awaitable[None]]
"""Returns once this blob is in the content store."""


async def _is_here(digest: str) -> None:
    """Of an image that is here whole, every blob is."""


class Unpacker:
    """Unpacks each manifest once, however many ask at the same time."""

    def __init__(self, connection: Connection, content: ContentStore, leases: Leases) -> None:
        self._connection = connection
        self._content = content
        self._leases = leases
        self._known: dict[str, asyncio.Future[RootFs]] = {}
        self._unpacking = Unpacking(connection)

    async def rootfs(self, digest: str) -> RootFs:
        """See RootFsSource."""
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = asyncio.ensure_future(self._unpacked(digest))
            if len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        try:
            return await asyncio.shield(known)
        except BaseException:
            if known.done():
                self._known.pop(digest, None)
            raise

    async def _unpacked(self, digest: str) -> RootFs:
        async with self._leases.taken() as lease:
            return await self.unpack(digest, lease, Promise())

    def forget(self, digest: str) -> None:
        """See RootFsSource."""
        self._known.pop(digest, None)

    def forget_all(self) -> None:
        """Images were removed: look at each again."""
        self._known = {digest: known for digest, known in self._known.items() if not known.done()}

    async def unpack(self, digest: str, lease: Lease, promise: Promise, arrived: Arrived = _is_here) -> RootFs:
        """Unpack under a lease, into the room that was promised: layer after layer, each as soon as it has
        `arrived`."""
        manifest, config, diff_ids = await self._described(digest)
        parent = ""
        for layer, diff_id, chain_id in zip(manifest.layers, diff_ids, chain_ids(diff_ids), strict=True):
            await arrived(layer.digest)
            await self._leases.hold_layer(chain_id, lease)
            made = await self._unpacking.ensure(layer, diff_id, chain_id, parent, lease)
            if made:
                promise.came(layer.size)
            parent = chain_id
        if parent:
            reference = {f"containerd.io/gc.ref.snapshot.{SNAPSHOTTER}": parent}
            await self._content.label(manifest.config.digest, reference, lease)
        return RootFs(parent, config)

    async def packed(self, digest: str, lease: Lease) -> tuple[Descriptor, ...]:
        """The layers that are not unpacked yet."""
        manifest, _, diff_ids = await self._described(digest)
        chains = zip(manifest.layers, chain_ids(diff_ids), strict=True)
        return tuple([layer for layer, chain_id in chains if not await self._unpacking.exists(chain_id, lease)])

    async def _described(self, digest: str) -> tuple[Manifest, ImageConfig, tuple[str, ...]]:
        """The manifest, and what its config says of the process and of each layer."""
        manifest = parse(await self._content.read(digest), Manifest, "manifest")
        config, diff_ids = parse_config(await self._content.read(manifest.config.digest))
        if len(diff_ids) != len(manifest.layers):
            raise ImageUnreadable("the image's config and manifest speak of different numbers of layers")
        return manifest, config, diff_ids

    async def unpacked_bytes(self, digest: str) -> int:
        """What the manifest's layers take up unpacked, as far as they are. Layers shared with others count in full."""
        manifest = parse(await self._content.read(digest), Manifest, "manifest")
        _, diff_ids = parse_config(await self._content.read(manifest.config.digest))
        return sum([await self._usage(chain_id) for chain_id in chain_ids(diff_ids)])

    async def taken_bytes(self) -> int:
        """What all unpacked layers take up; not the workloads' own writable ones."""
        asked, layers = snapshots_pb2.ListSnapshotsRequest(snapshotter=SNAPSHOTTER), list[str]()
        with tolerated(grpc.StatusCode.NOT_FOUND):
            pages = self._connection.snapshots.List(asked, metadata=self._connection.metadata)
            layers = [one.name async for page in pages for one in page.info if one.kind == snapshots_pb2.COMMITTED]
        return sum([await self._usage(name) for name in layers])

    async def _usage(self, key: str) -> int:
        request = snapshots_pb2.UsageRequest(snapshotter=SNAPSHOTTER, key=key)
        with tolerated(grpc.StatusCode.NOT_FOUND):
            return int((await self._connection.snapshots.Usage(request, metadata=self._connection.metadata)).size)
        return 0

    async def sweep(self) -> None:
        """Remove what an unpacking left that ended with its daemon. What this one unpacks meanwhile stays."""
        await self._unpacking.sweep()

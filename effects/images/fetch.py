"""From a registry into the content store: an image's documents, then its layers, several at a time and each unpacked as
soon as those below it are. What is here already is not asked for, and a blob that broke off is continued."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from effects.errors import ImageCorrupt, ImageMissing
from effects.images import oci
from effects.images.content import ContentStore
from effects.images.leases import Lease
from effects.images.protocol import Progress
from effects.images.registry import ImageSource
from effects.images.retries import Sleep, retried
from effects.images.room import Promise, Room
from effects.images.rootfs import Unpacker
from journal.specs import ImagePin

LAYERS_AT_ONCE = 3
SHARED_BYTES = 8 << 20
HEAD_START_S = 2.0
TRIES = 5
_INDEX_LABEL = "containerd.io/gc.ref.content.m.0"


class Fetched(msgspec.Struct, frozen=True):
    """An image that is here whole, and has no name yet."""

    target: oci.Descriptor
    size_bytes: int


class Fetcher:
    """Fetches images by digest."""

    def __init__(
        self,
        content: ContentStore,
        unpacker: Unpacker,
        registry: ImageSource,
        room: Room,
        architecture: oci.Architecture,
        sleep: Sleep,
    ) -> None:
        self._content = content
        self._room = room
        self._sleep = sleep
        self._unpacker = unpacker
        self._registry = registry
        self._architecture = architecture

    async def fetch(self, pin: ImagePin, lease: Lease, progress: Progress) -> Fetched:
        """Everything that `pin` names, under the lease; no layer of what does not fit. Raises DriverError."""
        documents = await self._documents(pin, lease)
        manifest = oci.parse(await self._content.read(pin.platform_digest), oci.Manifest, "manifest")
        layers = {layer.digest: layer.size for layer in manifest.layers}
        progress.layers = len(manifest.layers)
        progress.total_bytes = manifest.config.size + sum(layers.values())
        await self._blob(pin, manifest.config.digest, manifest.config.size, lease, progress, Promise())
        oci.check_platform(oci.parse_facts(await self._content.read(manifest.config.digest)), self._architecture)
        with self._room.taken(pin.platform_digest, await self._least_bytes(pin, layers, lease)) as promise:
            await self._layers(pin, layers, lease, progress, promise)
        return Fetched(documents[0], oci.stored_bytes(manifest, *documents))

    async def _least_bytes(self, pin: ImagePin, layers: dict[str, int], lease: Lease) -> int:
        """What is to come at least: the rest of each layer, and once more what is to be unpacked, which grows."""
        coming = sum([max(0, size - await self._content.held(digest)) for digest, size in layers.items()])
        return coming + sum(layer.size for layer in await self._unpacker.packed(pin.platform_digest, lease))

    async def _documents(self, pin: ImagePin, lease: Lease) -> tuple[oci.Descriptor, ...]:
        """Index (if there is one) and manifest, stored and tied to what they name."""
        manifest = await self._document(pin, pin.platform_digest)
        labels = oci.references(oci.parse(manifest, oci.Manifest, "manifest"))
        found = [await self._store(pin.platform_digest, manifest, lease, labels)]
        if pin.index_digest != pin.platform_digest:
            index = await self._document(pin, pin.index_digest)
            named = {one.digest for one in oci.parse(index, oci.Index, "index").manifests}
            if pin.platform_digest not in named:
                raise ImageCorrupt(f"{pin.index_digest} does not name {pin.platform_digest}: pull the image again")
            found.insert(0, await self._store(pin.index_digest, index, lease, {_INDEX_LABEL: pin.platform_digest}))
        return tuple(found)

    async def _document(self, pin: ImagePin, digest: str) -> bytes:
        try:
            return await self._content.read(digest)
        except ImageMissing:
            return await retried(lambda: self._registry.manifest(pin.ref, digest), TRIES, sleep=self._sleep)

    async def _store(self, digest: str, content: bytes, lease: Lease, labels: dict[str, str]) -> oci.Descriptor:
        async def source(offset: int) -> AsyncGenerator[bytes, None]:
            if content[offset:]:
                yield content[offset:]

        await self._content.put(digest, len(content), source, lease, labels)
        return oci.Descriptor(oci.media_type_of(content), digest, len(content))

    async def _layers(
        self, pin: ImagePin, layers: dict[str, int], lease: Lease, progress: Progress, promise: Promise
    ) -> None:
        way = Way()

        async def bring(digest: str, size: int) -> None:
            async with way.taken(size):
                await self._blob(pin, digest, size, lease, progress, promise)

        async def arrived(digest: str) -> None:
            progress.unpacked += progress.unpacking
            await asyncio.shield(arriving[digest])
            progress.unpacking = 1

        try:
            async with asyncio.TaskGroup() as group:
                arriving = {digest: group.create_task(bring(digest, size)) for digest, size in layers.items()}
                group.create_task(self._unpacker.unpack(pin.platform_digest, lease, promise, arrived))
        except BaseExceptionGroup as failures:
            raise _first(failures) from failures
        progress.unpacked = progress.layers

    async def _blob(
        self, pin: ImagePin, digest: str, size: int, lease: Lease, progress: Progress, promise: Promise
    ) -> None:
        """One blob, tried again as long as some of it comes; one that came damaged is asked for once more."""
        counted = 0

        async def source(offset: int) -> AsyncGenerator[bytes, None]:
            nonlocal counted
            progress.done_bytes += offset - counted
            counted = offset
            async for piece in self._registry.blob(pin.ref, digest, size, offset):
                counted += len(piece)
                progress.done_bytes += len(piece)
                progress.received_bytes += len(piece)
                promise.came(len(piece))
                yield piece

        async def bring() -> None:
            await self._content.put(digest, size, source, lease)

        try:
            await retried(bring, TRIES, lambda: progress.received_bytes, self._sleep)
        except ImageCorrupt:
            await retried(bring, TRIES, lambda: progress.received_bytes, self._sleep)
        progress.done_bytes += size - counted


class Way:
    """From the registry to here, for a few layers at a time, in their order.

    A layer is unpacked on those below it, so the lower ones are wanted first. Where much is under way, the next one
    lets it go ahead for a moment: a fast way has brought it by then, and a slow one is worth sharing.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(LAYERS_AT_ONCE)
        self._next = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._coming_bytes = 0

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """For one layer of `size` bytes."""
        async with self._room:
            async with self._next:
                self._arrived.clear()
                if self._coming_bytes > SHARED_BYTES:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(HEAD_START_S):
                            await self._arrived.wait()
                self._coming_bytes += size
            try:
                yield
            finally:
                self._coming_bytes -= size
                self._arrived.set()


def _first(failures: BaseException) -> BaseException:
    """Of failures that came together, the one to tell."""
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return failures

"""The simulated twin of the image cache: records, blobs and half-made things of a world in memory.

The world outlives drivers as the disk outlives daemons. What it can do wrong is what the contract suite saw the
real cache do: a runtime that does not answer, a disk that fills up in a blob or a layer, images that lie.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from effects.errors import (
    ImageCorrupt,
    ImageMissing,
    ImageUnreadable,
    RegistryUnreachable,
    RuntimeUnavailable,
    SenderQuiet,
    WrongArchitecture,
)
from effects.images.naming import Naming
from effects.images.protocol import Announced, CachedImage, ImageDetails, Named, Progress
from effects.images.registry_twin import Registries, TwinRegistry
from effects.images.twin_image import TwinImage, TwinLayer
from journal.specs import ImagePin

Step = Callable[[str], Awaitable[None]]
"""Awaited before and after everything a driver does to the world; may delay, raise, or never return."""


async def _no_step(point: str) -> None:
    """Nothing happens between two steps."""


class CacheWorld:
    """What is on the disk. `usable` are the manifests that a container can be made from; `kept` is what each
    interrupted try has left to be continued; `scratch` are layers that are half unpacked."""

    def __init__(self, usable: set[str] | None = None) -> None:
        self.usable: set[str] = set() if usable is None else usable
        self.records: dict[str, TwinImage] = {}
        self.blobs: dict[str, int] = {}
        self.parts: dict[str, int] = {}
        self.kept: list[set[str]] = []
        self.scratch: set[str] = set()
        self._listeners: list[asyncio.Queue[None]] = []

    def listen(self) -> "asyncio.Queue[None]":
        """A queue of losses."""
        queue: asyncio.Queue[None] = asyncio.Queue()
        self._listeners.append(queue)
        return queue

    def take(self, *refs: str) -> None:
        """Another hand's `ctr images rm`."""
        for ref in refs:
            self.records.pop(ref, None)
        self.collect()
        for listener in self._listeners:
            listener.put_nowait(None)

    def record(self, ref: str, image: TwinImage) -> None:
        """A record now means this image."""
        self.records[ref] = image
        self.collect()

    def bring(self, ref: str, digest: str) -> None:
        """An image without layers is here, under this name."""
        image = TwinImage((ref,), digest, digest)
        for record in (digest, ref):
            self.record(record, image)

    def collect(self) -> None:
        """Garbage collection: blobs that no record and no try holds."""
        held = {layer.digest for image in self.records.values() for layer in image.layers}.union(*self.kept)
        self.blobs = {digest: size for digest, size in self.blobs.items() if digest in held}
        self.parts = {digest: size for digest, size in self.parts.items() if digest in held}
        self.usable.clear()
        self.usable.update(image.platform_digest for image in self.records.values())

    @property
    def taken_bytes(self) -> int:
        """What it takes up."""
        return sum(self.blobs.values()) + sum(self.parts.values())


class TwinImages:
    """An image cache on a world. See the protocol."""

    def __init__(self, world: CacheWorld, step: Step = _no_step, registry: TwinRegistry | None = None) -> None:
        self._world = world
        self._unpacking: set[str] = set()
        self._step = step
        self._registry = registry or TwinRegistry(Registries(), step)
        self._active: list[set[str]] = []
        self._writing: dict[str, asyncio.Lock] = {}
        self.naming = Naming()

    @asynccontextmanager
    async def _try(self) -> AsyncIterator[set[str]]:
        """What a lease is: kept when it can be continued, gone when it cannot."""
        await self._step("lease")
        held: set[str] = set()
        self._world.kept.append(held)
        self._active.append(held)
        try:
            yield held
        except (asyncio.CancelledError, RuntimeUnavailable):
            raise
        except (RegistryUnreachable, SenderQuiet):
            self._supersede(held)
            if not any(digest in self._world.blobs or digest in self._world.parts for digest in held):
                self._drop(held)
            raise
        except BaseException:
            self._drop(held)
            raise
        else:
            with suppress(RuntimeUnavailable):
                await self._step("finish")
            self._supersede(held)
            self._drop(held)
        finally:
            self._active = [one for one in self._active if one is not held]

    def _supersede(self, held: set[str]) -> None:
        for other in [one for one in self._world.kept if not self._is_active(one) and one <= held]:
            self._drop(other)

    def _is_active(self, held: set[str]) -> bool:
        return any(one is held for one in self._active)

    def _drop(self, held: set[str]) -> None:
        self._world.kept = [one for one in self._world.kept if one is not held]
        self._world.collect()

    async def import_archive(
        self,
        chunks: AsyncIterator[bytes],
        name: str = "",
        announced: Sequence[Announced] = (),
        named: Named | None = None,
        *,
        vital: bool = False,
    ) -> tuple[CachedImage, ...]:
        """See the protocol."""
        source = _Lines(chunks)
        async with self._try() as held:
            try:
                images = msgspec.json.decode(await source.line(), type=tuple[TwinImage, ...])
            except msgspec.MsgspecError as error:
                raise ImageUnreadable(f"this is no image archive: {error}") from error
            if name and len({image.index_digest for image in images}) > 1:
                raise ImageUnreadable(f"the archive holds {len(images)} images, and `--name` is one name")
            skipped = {one.digest: one.skipped for one in announced}
            for image in images:
                for layer in image.layers:
                    if layer.damage == "missing":
                        continue
                    async with self._lock(layer.digest):
                        left = await self._blob(layer, held, skipped.get(layer.digest, 0), source)
                    await source.skip(left)
            for image in images:
                await self._finish(image)
            async with self.naming:
                cached = tuple([one for image in images for one in await self._name(image, name)])
                if named is not None:
                    named(cached)
        return tuple(one for one in cached if one.is_name)

    async def pull(
        self, pin: ImagePin, *, moves: bool, progress: Progress | None = None, named: Named | None = None
    ) -> tuple[CachedImage, ...]:
        """See the protocol."""
        known = self._world.records.get(pin.index_digest)
        async with self._try() as held:
            image = known or self._registry.registries.image(pin.index_digest)
            progress = progress or Progress()
            progress.total_bytes = image.size_bytes
            for layer in image.layers:
                async with self._lock(layer.digest):
                    await self._fetch(layer, held, progress)
            await self._finish(image)
            async with self.naming:
                names = (pin.ref,) if moves and "@" not in pin.ref else ()
                cached = tuple([await self._record(ref, image) for ref in (pin.index_digest, *names)])
                if named is not None:
                    named(cached)
        return cached

    async def _fetch(self, layer: TwinLayer, held: set[str], progress: Progress) -> None:
        world = self._world
        await self._step("blob")
        held.add(layer.digest)
        if layer.digest in world.blobs:
            return
        had = world.parts.get(layer.digest, 0)
        async for size in self._registry.layer(layer, had):
            had += size
            world.parts[layer.digest] = had
            progress.received_bytes += size
        await self._step("commit")
        world.parts.pop(layer.digest, None)
        if layer.damage == "corrupt":
            raise ImageCorrupt(f"the registry sends something else than {layer.digest}")
        world.blobs[layer.digest] = layer.size

    def _lock(self, digest: str) -> asyncio.Lock:
        return self._writing.setdefault(digest, asyncio.Lock())

    async def _blob(self, layer: TwinLayer, held: set[str], skipped: int, source: "_Lines") -> int:
        """Take a layer's bytes in; how many of them are left in the stream, because they are here already."""
        world = self._world
        await self._step("blob")
        held.add(layer.digest)
        if layer.digest in world.blobs:
            return layer.size - skipped
        had = world.parts.get(layer.digest, 0)
        if had < skipped:
            raise ImageUnreadable("a part of the archive was left out that this machine does not have: push it again")
        await source.skip(had - skipped)
        while had < layer.size:
            had += await source.some(layer.size - had)
            world.parts[layer.digest] = had
        await self._step("commit")
        world.parts.pop(layer.digest, None)
        if layer.damage == "corrupt":
            raise ImageCorrupt(f"a blob of the image is not what its digest {layer.digest} says")
        world.blobs[layer.digest] = layer.size
        return 0

    async def _finish(self, image: TwinImage) -> None:
        """Everything behind the blobs: are they all here, is it for this machine, can it be unpacked."""
        if image.architecture != "amd64":
            raise WrongArchitecture(f"the image is for linux/{image.architecture}")
        for layer in image.layers:
            if layer.digest not in self._world.blobs:
                raise ImageUnreadable(f"the archive lacks a blob that it names ({layer.digest})")
            await self._step("prepare")
            self._world.scratch.add(layer.digest)
            self._unpacking.add(layer.digest)
            try:
                await self._step("apply")
                if layer.damage == "unreadable":
                    raise ImageUnreadable("a layer of the image cannot be unpacked")
                await self._step("layer")
            finally:
                self._world.scratch.discard(layer.digest)
                self._unpacking.discard(layer.digest)

    async def _name(self, image: TwinImage, name: str) -> list[CachedImage]:
        names = (name,) if name else image.names
        if not names:
            raise ImageUnreadable("the archive does not say the image's name: give one with `--name`")
        found = []
        for ref in (image.index_digest, *names):
            found.append(await self._record(ref, image))
        return found

    async def _record(self, ref: str, image: TwinImage) -> CachedImage:
        await self._step("name")
        self._world.record(ref, image)
        return _cached(ref, image)

    async def losses(self) -> AsyncIterator[None]:
        """See the protocol."""
        queue = self._world.listen()
        while True:
            yield
            await queue.get()

    async def observe(self) -> tuple[CachedImage, ...]:
        """See the protocol."""
        await self._step("observe")
        return tuple(_cached(ref, image) for ref, image in sorted(self._world.records.items()))

    async def resolve(self, ref: str) -> CachedImage | None:
        """See the protocol."""
        record = ref.partition("@")[2] or ref
        records = self._world.records
        if record not in records:
            with_it = (one.index_digest for one in records.values() if one.platform_digest == record)
            record = min((digest for digest in with_it if digest in records), default="")
        return _cached(record, records[record]) if record else None

    async def held(self, digests: Sequence[str]) -> dict[str, int]:
        """See the protocol."""
        world = self._world
        return {digest: world.blobs.get(digest, world.parts.get(digest, 0)) for digest in digests}

    async def details(self, image: CachedImage) -> ImageDetails:
        """See the protocol."""
        found = self._world.records.get(image.index_digest)
        if found is None:
            raise ImageMissing(f"{image.index_digest} is not in the image cache")
        return ImageDetails(found.size_bytes, "")

    async def remove(self, records: Sequence[str]) -> int:
        """See the protocol."""
        before = self._world.taken_bytes
        for name in records:
            await self._step("forget")
            self._world.records.pop(name, None)
        self._world.collect()
        return before - self._world.taken_bytes

    async def drop_partial(self) -> int:
        """See the protocol."""
        await self._step("drop")
        before = self._world.taken_bytes
        self._world.kept = [one for one in self._world.kept if self._is_active(one)]
        self._world.collect()
        return before - self._world.taken_bytes

    async def sweep(self) -> None:
        """See the protocol."""
        await self._step("sweep")
        self._world.scratch.intersection_update(self._unpacking)


class _Lines:
    """An archive's stream."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""

    async def line(self) -> bytes:
        while b"\n" not in self._chunk and (more := await self._more()):
            self._chunk += more
        head, _, self._chunk = self._chunk.partition(b"\n")
        return head

    async def some(self, most: int) -> int:
        """How many bytes came, `most` at most. Raises ImageUnreadable at the end."""
        self._chunk = self._chunk or await self._more()
        if not self._chunk:
            raise ImageUnreadable("the archive ends in the middle")
        taken = min(most, len(self._chunk))
        self._chunk = self._chunk[taken:]
        return taken

    async def skip(self, count: int) -> None:
        while count > 0:
            count -= await self.some(count)

    async def _more(self) -> bytes:
        async for chunk in self._chunks:
            if chunk:
                return chunk
        return b""


def _cached(ref: str, image: TwinImage) -> CachedImage:
    return CachedImage(ref, image.index_digest, image.platform_digest, image.size_bytes)

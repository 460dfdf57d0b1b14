"""The image cache in containerd: archives in, names to digests, and out again."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import grpc

from containerdapi import images_pb2, types_pb2
from effects.containerd.connection import Connection, tolerated, translated
from effects.containerd.news import news
from effects.errors import ImageMissing, ImageUnreadable, WrongArchitecture, unwritten
from effects.images.archive import Archive, ArchivedImage
from effects.images.content import ContentStore
from effects.images.fetch import Fetcher
from effects.images.intake import Intake
from effects.images.leases import Lease, Leases
from effects.images.mended_layers import drop_lost
from effects.images.naming import Naming
from effects.images.oci import (
    INDEX_TYPES,
    Descriptor,
    Index,
    Manifest,
    choose,
    parse,
    parse_facts,
    stored_bytes,
)
from effects.images.on_disk import sync_around
from effects.images.platform import architecture
from effects.images.protocol import Announced, CachedImage, ImageDetails, Named, Progress
from effects.images.registry import ImageSource
from effects.images.retries import Sleep
from effects.images.room import LAST_ROOM, Room, free_below
from effects.images.rootfs import Unpacker
from effects.threads import on_thread
from journal.specs import ImagePin

_UNWRITTEN = partial(unwritten, "an image")
_SIZE_LABEL = "capsule.size"
_PLATFORM_LABEL = "capsule.platform"


class ContainerdImages:
    """The images of one containerd, which has all of them below `root`. See the protocol."""

    def __init__(self, connection: Connection, registry: ImageSource, root: Path, sleep: Sleep = asyncio.sleep) -> None:
        self._connection = connection
        self._root = root
        self._content = ContentStore(connection)
        self.leases = Leases(connection)
        self.unpacker = Unpacker(connection, self._content, self.leases)
        self.naming = Naming()
        self._architecture = architecture()
        self._room = Room(free_below(root))
        self._fetcher = Fetcher(self._content, self.unpacker, registry, self._room, self._architecture, sleep)
        self._pulling: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- in ------------------------------------------------------------------------------------------------------

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
        await self._connection.answering()
        room = LAST_ROOM if vital else self._room
        async with self.leases.taken() as lease:
            members = await Intake(self._content, room, lease, announced).members(chunks)
            images = await Archive(members, self._content.read, self._architecture, name).images()
            for image in images:
                await self._store(image, lease)
                packed = await self.unpacker.packed(image.platform_digest, lease)
                with room.promised(sum(layer.size for layer in packed)) as promise:
                    await self.unpacker.unpack(image.platform_digest, lease, promise)
            await on_thread(lambda: sync_around(self._root), _UNWRITTEN)
            # Names last: until here nobody can see half an image.
            async with self.naming:
                cached = tuple([one for image in images for one in await self._name(image, lease)])
                if named is not None:
                    named(cached)
        return tuple(one for one in cached if one.is_name)

    async def pull(
        self, pin: ImagePin, *, moves: bool, progress: Progress | None = None, named: Named | None = None
    ) -> tuple[CachedImage, ...]:
        """See the protocol. Of several who want the same image, one fetches it."""
        pulling = self._pulling.setdefault(pin.index_digest, asyncio.Lock())
        async with pulling, self.leases.taken() as lease:
            fetched = await self._fetcher.fetch(pin, lease, progress or Progress())
            await on_thread(lambda: sync_around(self._root), _UNWRITTEN)
            names = (pin.ref,) if moves and "@" not in pin.ref else ()
            labels = {_SIZE_LABEL: str(fetched.size_bytes), _PLATFORM_LABEL: pin.platform_digest}
            async with self.naming:
                records = (pin.index_digest, *names)
                cached = tuple([await self._record(ref, fetched.target, labels, lease) for ref in records])
                if named is not None:
                    named(cached)
        return cached

    async def _store(self, image: ArchivedImage, lease: Lease) -> None:
        for digest, labels in image.labels.items():
            await self._content.label(digest, labels, lease)
        for document in image.documents:
            content = document.content

            async def source(offset: int, content: bytes = content) -> AsyncGenerator[bytes, None]:
                if content[offset:]:
                    yield content[offset:]

            await self._content.put(document.digest, len(content), source, lease, document.labels)

    async def _name(self, image: ArchivedImage, lease: Lease) -> list[CachedImage]:
        """Under its digest too: a workload stays pinned to it when the name moves on."""
        labels = {_SIZE_LABEL: str(image.size_bytes), _PLATFORM_LABEL: image.platform_digest}
        return [await self._record(ref, image.target, labels, lease) for ref in (image.target.digest, *image.refs)]

    async def _record(self, ref: str, target: Descriptor, labels: dict[str, str], lease: Lease) -> CachedImage:
        record = images_pb2.Image(
            name=ref,
            labels=labels,
            target=types_pb2.Descriptor(media_type=target.media_type, digest=target.digest, size=target.size),
        )
        images, metadata = self._connection.images, lease.metadata
        try:
            answer = await images.Create(images_pb2.CreateImageRequest(image=record), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise translated(error) from error
            with tolerated():
                answer = await images.Update(images_pb2.UpdateImageRequest(image=record), metadata=metadata)
        return await self._cached(answer.image)

    # --- looking -------------------------------------------------------------------------------------------------

    async def observe(self) -> tuple[CachedImage, ...]:
        """See the protocol. What another tool left half-made, or for another machine, is nobody's image."""
        with tolerated():
            answer = await self._connection.images.List(
                images_pb2.ListImagesRequest(), metadata=self._connection.metadata
            )
        found: list[CachedImage] = []
        for image in sorted(answer.images, key=lambda image: image.name):
            try:
                found.append(await self._cached(image))
            except (ImageMissing, ImageUnreadable, WrongArchitecture):
                continue
        return tuple(found)

    async def losses(self) -> AsyncIterator[None]:
        """See the protocol. The subscription ends with containerd and is made again with its successor."""
        async for _ in news(self._connection, 'topic=="/images/delete"'):
            yield

    async def resolve(self, ref: str) -> CachedImage | None:
        """See the protocol. A digest is looked for as that of an index, then of a manifest in one."""
        record = ref.partition("@")[2] or ref
        request = images_pb2.GetImageRequest(name=record)
        await self._connection.answering()
        try:
            answer = await self._connection.images.Get(request, metadata=self._connection.metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return await self._with_manifest(record) if record.startswith("sha256:") else None
            raise translated(error) from error
        return await self._cached(answer.image)

    async def _with_manifest(self, digest: str) -> CachedImage | None:
        """The record of the index in which this digest is that of this machine's manifest."""
        request = images_pb2.ListImagesRequest(filters=[f'labels."{_PLATFORM_LABEL}"=="{digest}"'])
        with tolerated():
            answer = await self._connection.images.List(request, metadata=self._connection.metadata)
        records = sorted(
            (image for image in answer.images if image.name == image.target.digest), key=lambda one: one.name
        )
        return await self._cached(records[0]) if records else None

    async def held(self, digests: Sequence[str]) -> dict[str, int]:
        """See the protocol."""
        return {digest: await self._content.held(digest) for digest in digests}

    async def details(self, image: CachedImage) -> ImageDetails:
        """See the protocol."""
        manifest = parse(await self._content.read(image.platform_digest), Manifest, "manifest")
        facts = parse_facts(await self._content.read(manifest.config.digest))
        return ImageDetails(await self.unpacker.unpacked_bytes(image.platform_digest), facts.created)

    async def _cached(self, image: Any) -> CachedImage:
        """Another tool's records lack our labels: then manifest and size are looked up."""
        chosen, size = image.labels.get(_PLATFORM_LABEL, ""), image.labels.get(_SIZE_LABEL, "")
        if not chosen or not size.isdecimal():
            chosen, size = await self._measured(image.target)
        return CachedImage(
            ref=image.name,
            index_digest=image.target.digest,
            platform_digest=chosen,
            size_bytes=int(size),
            created_at_ns=image.created_at.ToNanoseconds(),
        )

    async def _measured(self, target: Any) -> tuple[str, str]:
        chosen, above = Descriptor(target.media_type, target.digest, target.size), []
        if chosen.media_type in INDEX_TYPES:
            above.append(chosen)
            index = parse(await self._content.read(chosen.digest), Index, "index")
            chosen = choose(index.manifests, self._architecture)
        manifest = parse(await self._content.read(chosen.digest), Manifest, "manifest")
        return chosen.digest, str(stored_bytes(manifest, chosen, *above))

    # --- out -----------------------------------------------------------------------------------------------------

    async def remove(self, records: Sequence[str]) -> int:
        """See the protocol."""
        before = await self._taken_bytes()
        for number, name in enumerate(records, 1):
            # The last one waits until garbage collection has taken what is not named any more.
            request = images_pb2.DeleteImageRequest(name=name, sync=number == len(records))
            with tolerated(grpc.StatusCode.NOT_FOUND):
                await self._connection.images.Delete(request, metadata=self._connection.metadata)
        self.unpacker.forget_all()
        return max(0, before - await self._taken_bytes())

    async def drop_partial(self) -> int:
        """See the protocol."""
        before = await self._taken_bytes()
        await self.leases.drop_idle()
        return max(0, before - await self._taken_bytes())

    async def _taken_bytes(self) -> int:
        """Blobs, parts of blobs, and unpacked layers."""
        return await self._content.taken_bytes() + await self.unpacker.taken_bytes()

    async def sweep(self) -> None:
        """See the protocol."""
        await self.unpacker.sweep()
        await on_thread(lambda: drop_lost(self._root), partial(unwritten, "an old layer of an image"))

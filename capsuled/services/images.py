"""ImageService and ImageCacheService: archives in, names out."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from capsule.v1 import image_cache_pb2
from capsule.v1 import image_pb2 as pb
from capsule.v1.image_cache_pb2_grpc import ImageCacheServiceServicer
from capsule.v1.image_pb2_grpc import ImageServiceServicer
from capsuled.answers import Past
from capsuled.engine import Engine
from capsuled.image_cache import ImageCache, Removal
from capsuled.rpc import caller_of, refuse
from capsuled.streams import OpenStream, opened
from effects.errors import ImageMissing
from effects.images.protocol import Announced, CachedImage, ImageStore, Progress
from effects.images.reference import BadReference, normalise
from journal.events import ImageRemovalRequested, ImageRemoved
from projections.images import names_of, record_named, users
from projections.intents import CollectImages, RemoveImage
from projections.state import Machine

CANCELLED_S = 0.1
PROGRESS_S = 0.2
MOST_DIGESTS = 1_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageService(ImageServiceServicer):
    """See proto/capsule/v1/image.proto."""

    def __init__(self, engine: Engine, store: ImageStore, cache: ImageCache) -> None:
        self._engine = engine
        self._store = store
        self._cache = cache

    async def List(self, request: pb.ImageListRequest, context: Any) -> pb.ImageListResponse:
        """Every name in the cache; with `all` every image, under a name or not."""
        machine = self._engine.machine
        messages = []
        for image in await self._store.observe():
            if image.is_name or (request.all and not names_of(machine, image.index_digest)):
                message = _message(machine, image)
                if request.details:
                    await self._look_into(image, message)
                messages.append(message)
        return pb.ImageListResponse(images=messages)

    async def _look_into(self, image: CachedImage, message: pb.Image) -> None:
        try:
            details = await self._store.details(image)
        except ImageMissing:
            return  # removed meanwhile
        message.unpacked_bytes = details.unpacked_bytes
        message.built_unix = _unix(details.built_at)

    async def Push(self, requests: AsyncIterator[pb.ImagePushRequest], context: Any) -> pb.ImagePushResponse:
        """The archive is journaled once all of it is in the cache."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("msg") != "metadata":
            refuse("INVALID_ARGUMENT", "NO_METADATA", "the first message of a push must be its metadata", "metadata")
        if first.metadata.ref:
            reference_of(first.metadata.ref)  # before all of it was sent for nothing
        caller, announced = caller_of(context, "ImageService.Push"), _announced(first.metadata)
        async with opened(self._engine, caller, first.metadata.ref) as stream:
            comes = max(0, first.metadata.total_bytes - sum(one.skipped for one in announced))
            images = await self._cache.push(
                _chunks(requests, comes, stream), first.metadata.ref, announced, stream, caller
            )
        return pb.ImagePushResponse(image_refs=[image.ref for image in images], bytes_received=stream.bytes_in)


class ImageCacheService(ImageCacheServiceServicer):
    """See proto/capsule/v1/image_cache.proto."""

    def __init__(self, engine: Engine, past: Past, cache: ImageCache) -> None:
        self._engine = engine
        self._past = past
        self._cache = cache

    async def Pull(
        self, request: image_cache_pb2.ImagePullRequest, context: Any
    ) -> AsyncIterator[image_cache_pb2.ImagePullProgress]:
        """Progress now and then, and the image at the end."""
        ref = reference_of(request.ref)
        caller, progress = caller_of(context, "ImageCacheService.Pull"), Progress()
        async with opened(self._engine, caller, ref) as stream:
            pull = asyncio.ensure_future(self._cache.pull(ref, progress, stream, caller))
            try:
                while not (await asyncio.wait((pull,), timeout=PROGRESS_S))[0]:
                    yield _progress(ref, progress)
                image = pull.result()
            finally:
                pull.cancel()
                await asyncio.gather(pull, return_exceptions=True)
                stream.bytes_in = progress.received_bytes
        yield _progress(ref, progress, _message(self._engine.machine, image))

    async def Held(self, request: image_cache_pb2.ImageHeldRequest, context: Any) -> image_cache_pb2.ImageHeldResponse:
        """In the order of the request."""
        if len(request.digests) > MOST_DIGESTS:
            refuse("INVALID_ARGUMENT", "TOO_MANY", f"ask for {MOST_DIGESTS} digests at most at a time", "digests")
        digests = [_digest(digest, "digests") for digest in request.digests]
        held = await self._cache.held(digests)
        return image_cache_pb2.ImageHeldResponse(held_bytes=[held[digest] for digest in digests])

    async def Remove(self, request: image_cache_pb2.ImageRemoveRequest, context: Any) -> image_cache_pb2.ImageRemoval:
        """Answers when it is gone."""
        return await self._remove(RemoveImage(record_of(self._engine.machine, request.ref)), request, context, "Remove")

    async def Collect(self, request: image_cache_pb2.ImageCollectRequest, context: Any) -> image_cache_pb2.ImageRemoval:
        """Answers when they are gone."""
        return await self._remove(CollectImages(request.all), request, context, "Collect")

    async def _remove(
        self, intent: RemoveImage | CollectImages, request: Any, context: Any, method: str
    ) -> image_cache_pb2.ImageRemoval:
        caller = caller_of(context, f"ImageCacheService.{method}", request)
        if request.dry_run:
            return _removal(self._cache.would_remove(intent, caller.actor.role))
        removal = await self._cache.remove(intent, caller)
        return _removal(await self._told_again(removal) if removal.repeated else removal)

    async def _told_again(self, removal: Removal) -> Removal:
        """What the call asked for stands right behind it, and what that freed wherever it was carried out."""
        _, events = await self._past.after(removal.seq)
        (asked,) = (event for event in events if isinstance(event, ImageRemovalRequested))
        asked_at = removal.seq + 1
        done = await self._past.first(removal.seq, ImageRemoved, lambda header, _: header.cause == asked_at)
        freed = done.freed_bytes if isinstance(done, ImageRemoved) else 0
        return Removal(asked.refs, asked.digests, freed, removal.seq)


def _announced(metadata: pb.ImagePushMetadata) -> tuple[Announced, ...]:
    """What the client says of the archive in advance. Raises Refused."""
    return tuple(Announced(one.offset, _digest(one.digest, "blobs"), one.skipped) for one in metadata.blobs)


def _digest(text: str, field: str) -> str:
    if not _DIGEST.fullmatch(text):
        refuse("INVALID_ARGUMENT", "BAD_DIGEST", "a blob's digest is sha256: and 64 hexadecimal digits", field)
    return text


def reference_of(text: str) -> str:
    """The image that an operator means, in full. Raises Refused."""
    try:
        return normalise(text)
    except BadReference as error:
        refuse("INVALID_ARGUMENT", "BAD_IMAGE", str(error), "ref")


def record_of(machine: Machine, text: str) -> str:
    """The cache's record that an operator means: a name in full, or a digest. Raises Refused."""
    digest = text if text.startswith("sha256:") else (normal := reference_of(text)).partition("@")[2]
    return record_named(machine, digest) if digest else normal


def _message(machine: Machine, image: CachedImage) -> pb.Image:
    return pb.Image(
        name=image.ref if image.is_name else "",
        digest=image.platform_digest,
        size_bytes=image.size_bytes,
        created_unix=image.created_at_ns // 1_000_000_000,
        index_digest=image.index_digest,
        used_by=users(machine, image.index_digest),
        kept_for=[
            name
            for name, workload in sorted(machine.workloads.items())
            if workload.spec.image.index_digest != image.index_digest
            and any(one.image.index_digest == image.index_digest for one in workload.revisions)
        ],
    )


def _progress(ref: str, progress: Progress, image: pb.Image | None = None) -> image_cache_pb2.ImagePullProgress:
    return image_cache_pb2.ImagePullProgress(
        ref=ref,
        total_bytes=progress.total_bytes,
        done_bytes=progress.done_bytes,
        received_bytes=progress.received_bytes,
        layers=progress.layers,
        unpacked=progress.unpacked,
        image=image,
    )


def _unix(text: str) -> int:
    """Seconds of an RFC 3339 time; 0 for none, or for what builders write for \"no time\"."""
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        return 0


def _removal(removal: Removal) -> image_cache_pb2.ImageRemoval:
    return image_cache_pb2.ImageRemoval(
        names=removal.refs, digests=removal.digests, freed_bytes=removal.freed_bytes, seq=removal.seq
    )


async def _chunks(
    requests: AsyncIterator[pb.ImagePushRequest], total_bytes: int, stream: OpenStream
) -> AsyncIterator[bytes]:
    async for request in requests:
        stream.bytes_in += len(request.chunk)
        yield request.chunk
    # A client that died ends its messages, too, and that the call is cancelled is told a moment later. What came until
    # then is kept for its next try, and only for that: an archive that just ends in the middle is none.
    await asyncio.sleep(CANCELLED_S)
    if total_bytes and stream.bytes_in != total_bytes:
        refuse(
            "DATA_LOSS",
            "CUT",
            f"the archive was announced with {total_bytes} bytes and {stream.bytes_in} came: push again",
        )

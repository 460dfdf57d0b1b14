"""ImageService: archives in, names out."""

from collections.abc import AsyncIterator
from typing import Any

from capsule.v1 import image_pb2 as pb
from capsule.v1.image_pb2_grpc import ImageServiceServicer
from capsuled.engine import Engine
from capsuled.rpc import caller_of, refuse
from capsuled.streams import OpenStream, opened
from effects.images.protocol import ImageStore
from journal.events import ImagePushed, PushedImage
from journal.specs import ImagePin


class ImageService(ImageServiceServicer):
    """See proto/capsule/v1/image.proto."""

    def __init__(self, engine: Engine, images: ImageStore) -> None:
        self._engine = engine
        self._images = images

    async def List(self, request: pb.ImageListRequest, context: Any) -> pb.ImageListResponse:
        """Every name in the cache."""
        return pb.ImageListResponse(
            images=[
                pb.Image(
                    name=image.ref,
                    digest=image.platform_digest,
                    size_bytes=image.size_bytes,
                    created_unix=image.created_at_ns // 1_000_000_000,
                )
                for image in await self._images.list()
            ]
        )

    async def Push(self, requests: AsyncIterator[pb.ImagePushRequest], context: Any) -> pb.ImagePushResponse:
        """The archive is journaled once all of it is in the cache."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("msg") != "metadata":
            refuse("INVALID_ARGUMENT", "NO_METADATA", "the first message of a push must be its metadata", "metadata")
        caller = caller_of(context, "ImageService.Push")
        async with opened(self._engine, caller, first.metadata.ref) as stream:
            images = await self._images.import_archive(
                _chunks(requests, first.metadata.total_bytes, stream), first.metadata.ref
            )
            pushed = tuple(
                PushedImage(ImagePin(image.ref, image.index_digest, image.platform_digest), image.size_bytes)
                for image in images
            )
            self._engine.record(
                (ImagePushed(pushed, bytes_received=stream.bytes_in),), cause=stream.seq, actor=caller.actor
            )
        await self._engine.durable()
        return pb.ImagePushResponse(image_refs=[image.ref for image in images], bytes_received=stream.bytes_in)


async def _chunks(
    requests: AsyncIterator[pb.ImagePushRequest], total_bytes: int, stream: OpenStream
) -> AsyncIterator[bytes]:
    async for request in requests:
        stream.bytes_in += len(request.chunk)
        yield request.chunk
    if total_bytes and stream.bytes_in != total_bytes:
        refuse(
            "DATA_LOSS",
            "CUT",
            f"the archive was announced with {total_bytes} bytes and {stream.bytes_in} came: push again",
        )

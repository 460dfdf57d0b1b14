"""containerd's content store: blobs in and out, by digest."""

from collections.abc import AsyncIterator, Mapping

import grpc

from containerdapi import content_pb2
from effects.containerd.connection import Connection, Metadata, translated
from effects.errors import ImageMissing, ImageUnreadable

_JSON_BYTES = 8 << 20


class ContentStore:
    """Blobs of one containerd. `metadata` of a write names the lease that keeps it alive meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, digest: str) -> bytes:
        """A small blob, whole. Raises ImageMissing."""
        parts: list[bytes] = []
        size = 0
        try:
            request = content_pb2.ReadContentRequest(digest=digest)
            async for answer in self._connection.content.Read(request, metadata=self._connection.metadata):
                parts.append(answer.data)
                size += len(answer.data)
                if size > _JSON_BYTES:
                    raise ImageUnreadable(f"{digest} is too large for a manifest or config")
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise ImageMissing(f"{digest} is not in the image cache: push the image again") from error
            raise translated(error) from error
        return b"".join(parts)

    async def write(
        self,
        digest: str,
        size: int,
        chunks: AsyncIterator[bytes],
        metadata: Metadata,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Store a blob, checked against its digest; one that is there already is left as it is."""
        ref = f"capsule-{digest}"

        async def requests() -> AsyncIterator[content_pb2.WriteContentRequest]:
            offset = 0
            async for chunk in chunks:
                yield content_pb2.WriteContentRequest(
                    action=content_pb2.WRITE, ref=ref, total=size, expected=digest, offset=offset, data=chunk
                )
                offset += len(chunk)
            yield content_pb2.WriteContentRequest(
                action=content_pb2.COMMIT,
                ref=ref,
                total=size,
                expected=digest,
                offset=offset,
                labels=dict(labels or {}),
            )

        try:
            async for _ in self._connection.content.Write(requests(), metadata=metadata):
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.ALREADY_EXISTS:
                await self.label(digest, labels or {}, metadata)
                return
            await self._abort(ref, metadata)
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                raise ImageUnreadable(f"a blob of the image is not what its digest {digest} says") from error
            raise translated(error) from error

    async def label(self, digest: str, labels: Mapping[str, str], metadata: Metadata) -> None:
        """Put labels on a blob: by them garbage collection finds what belongs together."""
        if not labels:
            return
        request = content_pb2.UpdateRequest(
            info=content_pb2.Info(digest=digest, labels=dict(labels)),
            update_mask={"paths": [f"labels.{key}" for key in labels]},
        )
        try:
            await self._connection.content.Update(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise translated(error) from error

    async def _abort(self, ref: str, metadata: Metadata) -> None:
        try:
            await self._connection.content.Abort(content_pb2.AbortRequest(ref=ref), metadata=metadata)
        except grpc.aio.AioRpcError:
            return  # nothing had begun, or the lease's end takes it along

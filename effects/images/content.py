"""containerd's content store: blobs in and out, by digest. A blob that was cut off in the middle is continued."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any
from weakref import WeakValueDictionary

import grpc

from containerdapi import content_pb2
from effects.containerd.connection import Connection, tolerated, translated
from effects.containerd.letting_go import let_go
from effects.errors import DriverError, ImageCorrupt, ImageMissing, ImageUnreadable, NoSpace, RuntimeUnavailable
from effects.images.leases import Lease

JSON_BYTES = 8 << 20
_LOCKED_TRIES = 50
_LOCKED_WAIT_S = 0.1
_SETTLE_S = 2.0

log = logging.getLogger(__name__)

Source = Callable[[int], AsyncGenerator[bytes, None]]
"""A blob's bytes from an offset on."""


class ContentStore:
    """Blobs of one containerd."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, digest: str) -> bytes:
        """A small blob, whole. Raises ImageMissing, ImageUnreadable."""
        parts: list[bytes] = []
        size = 0
        try:
            request = content_pb2.ReadContentRequest(digest=digest)
            async for answer in self._connection.content.Read(request, metadata=self._connection.metadata):
                parts.append(answer.data)
                size += len(answer.data)
                if size > JSON_BYTES:
                    raise ImageUnreadable(f"{digest} is too large for a manifest or config")
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise ImageMissing(f"{digest} is not in the image cache: push or pull the image again") from error
            raise translated(error) from error
        return b"".join(parts)

    async def head(self, digest: str, count: int) -> bytes:
        """The first bytes of a blob."""
        request = content_pb2.ReadContentRequest(digest=digest, size=count)
        try:
            answers = self._connection.content.Read(request, metadata=self._connection.metadata)
            return b"".join([answer.data async for answer in answers])
        except grpc.aio.AioRpcError as error:
            raise translated(error) from error

    async def taken_bytes(self) -> int:
        """What all blobs and parts of blobs take up."""
        content, metadata = self._connection.content, self._connection.metadata
        try:
            pages = content.List(content_pb2.ListContentRequest(), metadata=metadata)
            whole = sum([info.size async for page in pages for info in page.info])
            parts = (await content.ListStatuses(content_pb2.ListStatusesRequest(), metadata=metadata)).statuses
        except grpc.aio.AioRpcError as error:
            raise translated(error) from error
        return int(whole + sum(part.offset for part in parts))

    async def held(self, digest: str) -> int:
        """How many of a blob's first bytes are here: all, some, or none."""
        content, metadata = self._connection.content, self._connection.metadata
        with tolerated(grpc.StatusCode.NOT_FOUND):
            size = int((await content.Info(content_pb2.InfoRequest(digest=digest), metadata=metadata)).info.size)
            return 0 if await self._forgotten(digest) else size
        with tolerated(grpc.StatusCode.NOT_FOUND):
            request = content_pb2.StatusRequest(ref=_ref(digest))
            return int((await content.Status(request, metadata=metadata)).status.offset)
        return 0

    async def _forgotten(self, digest: str) -> bool:
        """Whether of this blob there was nothing but containerd's record, which is gone now.

        A blob's file gets its name just before its record is durable, but its name may not be: a power cut in the next
        seconds leaves a record of what is not there, and with it, it would never be taken in again.
        """
        metadata = self._connection.metadata
        with tolerated(grpc.StatusCode.NOT_FOUND):
            async for _ in self._connection.content.Read(
                content_pb2.ReadContentRequest(digest=digest, size=1), metadata=metadata
            ):
                return False
            return False
        log.warning("%s was lost, as by a power cut: it is to come again", digest)
        with tolerated(grpc.StatusCode.NOT_FOUND):
            await self._connection.content.Delete(content_pb2.DeleteContentRequest(digest=digest), metadata=metadata)
        return True

    async def put(
        self, digest: str, size: int, source: Source, lease: Lease, labels: Mapping[str, str] | None = None
    ) -> None:
        """Store a blob, checked against its digest. One that is here is left as it is and `source` is not asked; one
        that was begun is continued. Raises ImageCorrupt, NoSpace, and whatever `source` raises."""
        lock = self._writing.setdefault(digest, asyncio.Lock())
        async with lock:
            try:
                await self._put(_ref(digest), digest, size, source, lease, labels or {})
            except _Exists:
                if await self._forgotten(digest):
                    await self._put(_ref(digest), digest, size, source, lease, labels or {})
                else:
                    await self.label(digest, labels or {}, lease)

    async def put_unnamed(self, name: str, size: int, source: Source, lease: Lease) -> str:
        """Store a blob whose digest nobody has told yet, and return it. `name` is nobody else's."""
        return await self._put(f"capsule-{name}", "", size, source, lease, {})

    async def _put(
        self, ref: str, digest: str, size: int, source: Source, lease: Lease, labels: Mapping[str, str]
    ) -> str:
        write = _Write(self._connection.content, ref, digest, size, lease)
        try:
            offset = await write.begin()
            if offset > size:
                await self._abort(ref, lease)
                offset = await write.begin()
            try:
                async with aclosing(source(offset)) as chunks:
                    async for chunk in chunks:
                        await write.chunk(chunk)
            except BaseException:
                await write.settle()
                raise
            return await write.commit(labels)
        except _Exists as exists:
            if digest:
                raise
            await self._forgotten(exists.digest)  # what has come cannot be had again: the next try brings it
            return exists.digest
        except (ImageCorrupt, NoSpace):
            await self._abort(ref, lease)
            raise
        finally:
            write.close()

    async def label(self, digest: str, labels: Mapping[str, str], lease: Lease) -> None:
        """Put labels on a blob: by them garbage collection finds what belongs together."""
        if not labels:
            return
        request = content_pb2.UpdateRequest(
            info=content_pb2.Info(digest=digest, labels=dict(labels)),
            update_mask={"paths": [f"labels.{key}" for key in labels]},
        )
        try:
            await self._connection.content.Update(request, metadata=lease.metadata)
        except grpc.aio.AioRpcError as error:
            raise translated(error) from error

    async def _abort(self, ref: str, lease: Lease) -> None:
        try:
            await self._connection.content.Abort(content_pb2.AbortRequest(ref=ref), metadata=lease.metadata)
        except grpc.aio.AioRpcError:
            return  # nothing had begun, or the lease's end takes it along


class _Exists(Exception):
    """The blob is here already; now it belongs to the lease, too."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


class _Write:
    """One Content.Write call: begin, chunks, commit.

    A chunk is sent only once the one before it was answered, and is fetched meanwhile: gRPC for asyncio loses the
    status of a call that the other side ended when a write runs into that end.
    """

    def __init__(self, content: Any, ref: str, digest: str, size: int, lease: Lease) -> None:
        self._content = content
        self._lease = lease
        self._fields: dict[str, Any] = {"ref": ref, "expected": digest, "total": size}
        self._size = size
        self._offset = 0
        self._digest = digest
        self._call: Any = None
        self._answer: asyncio.Future[Any] | None = None

    async def begin(self) -> int:
        """How much of it is here. A write of a client that has just gone still holds the name for a moment."""
        for _ in range(_LOCKED_TRIES):
            self.close()
            self._call = self._content.Write(metadata=self._lease.metadata)
            await self._write(action=content_pb2.STAT)
            try:
                self._offset = int((await self._call.read()).offset)
                return self._offset
            except grpc.aio.AioRpcError as error:
                if "locked for" not in (error.details() or ""):
                    raise self._condition(error) from error
            await asyncio.sleep(_LOCKED_WAIT_S)
        raise DriverError("another write of the same blob does not end: try again")

    async def chunk(self, data: bytes) -> None:
        """The next bytes."""
        await self._send(action=content_pb2.WRITE, offset=self._offset, data=data)
        self._offset += len(data)

    async def commit(self, labels: Mapping[str, str]) -> str:
        """The digest under which it is here now."""
        if self._offset < self._size:
            raise ImageUnreadable("a blob of the image ends too early")
        await self._send(action=content_pb2.COMMIT, offset=self._offset, labels=dict(labels))
        await self._answered()
        return self._digest

    async def settle(self) -> None:
        """Nothing more comes: let what was sent be taken, so that it can be continued."""
        with contextlib.suppress(DriverError, _Exists, TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await self._answered()

    def close(self) -> None:
        """Let go; what was not committed stays as a part."""
        if self._answer is not None:
            let_go(self._answer)
        if self._call is not None:
            self._call.cancel()

    async def _send(self, **fields: Any) -> None:
        await self._answered()
        await self._write(**fields)
        self._answer = asyncio.ensure_future(self._call.read())

    async def _write(self, **fields: Any) -> None:
        try:
            await self._call.write(content_pb2.WriteContentRequest(**self._fields, **fields))
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError) as broken:
            raise RuntimeUnavailable("containerd has broken off a write; the work goes on by itself") from broken

    async def _answered(self) -> None:
        """The last thing sent was taken."""
        if self._answer is None:
            return
        answer, self._answer = self._answer, None
        try:
            self._digest = str((await answer).digest) or self._digest
        except grpc.aio.AioRpcError as error:
            raise self._condition(error) from error

    def _condition(self, error: grpc.aio.AioRpcError) -> Exception:
        match error.code():
            case grpc.StatusCode.ALREADY_EXISTS:
                return _Exists(self._digest)
            case grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.OUT_OF_RANGE:
                return ImageCorrupt(
                    f"a blob of the image is not what its digest {self._fields['expected']} says: make the image anew"
                )
            case _:
                return translated(error)


def _ref(digest: str) -> str:
    return f"capsule-{digest}"

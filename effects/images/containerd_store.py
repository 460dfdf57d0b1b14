"""The image cache in containerd: archives in, names to digests."""

import asyncio
import errno
import platform
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

import grpc

from containerdapi import images_pb2, leases_pb2, types_pb2
from effects.containerd.connection import Connection, Metadata, tolerated, translated
from effects.errors import DriverError, NoSpace
from effects.images.archive import ArchivedImage, Blob, ImageArchive
from effects.images.content import ContentStore
from effects.images.oci import INDEX_TYPES, Index, Manifest, choose, parse
from effects.images.protocol import CachedImage
from effects.images.rootfs import Unpacker

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}
LEASE_S = 3_600
_SIZE_LABEL = "capsule.size"
_PLATFORM_LABEL = "capsule.platform"


class ContainerdImages:
    """Image names of one containerd. `spool` is where an archive waits until it is whole."""

    def __init__(self, connection: Connection, spool: Path) -> None:
        self._connection = connection
        self._spool = spool
        self._content = ContentStore(connection)
        self.unpacker = Unpacker(connection)
        self._architecture = ARCHITECTURES.get(platform.machine(), platform.machine())

    async def import_archive(self, chunks: AsyncIterator[bytes], name: str = "") -> tuple[CachedImage, ...]:
        """See the protocol."""
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=self._spool) as file:
            await _spooled(chunks, file)
            archive = await asyncio.to_thread(ImageArchive, file, self._architecture, name)
            images = await asyncio.to_thread(archive.images)
            return await self._store(archive, images)

    async def _store(self, archive: ImageArchive, images: tuple[ArchivedImage, ...]) -> tuple[CachedImage, ...]:
        lease = await self._lease()
        metadata = (*self._connection.metadata, ("containerd-lease", lease))
        try:
            for image in images:
                for blob in image.blobs:
                    await self._content.write(blob.digest, blob.size, _chunks(archive, blob), metadata, blob.labels)
                await self.unpacker.unpack(image.platform_digest, metadata)
            # Names last: until here nobody can see half an image.
            cached: list[CachedImage] = []
            for image in images:
                # Under its digest too: a workload stays pinned to it when the name moves on.
                for ref in (image.target.digest, *image.refs):
                    cached.append(await self._name(ref, image, metadata))
            return tuple(one for one in cached if not one.ref.startswith("sha256:"))
        finally:
            with tolerated(grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE):
                request = leases_pb2.DeleteRequest(id=lease)
                await self._connection.leases.Delete(request, metadata=self._connection.metadata)

    async def _lease(self) -> str:
        lease = f"capsule-{uuid.uuid4().hex}"
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LEASE_S))
        request = leases_pb2.CreateRequest(id=lease, labels={"containerd.io/gc.expire": expires})
        with tolerated():
            await self._connection.leases.Create(request, metadata=self._connection.metadata)
        return lease

    async def _name(self, ref: str, image: ArchivedImage, metadata: Metadata) -> CachedImage:
        target = types_pb2.Descriptor(
            media_type=image.target.media_type, digest=image.target.digest, size=image.target.size
        )
        labels = {_SIZE_LABEL: str(image.size_bytes), _PLATFORM_LABEL: image.platform_digest}
        record = images_pb2.Image(name=ref, labels=labels, target=target)
        try:
            answer = await self._connection.images.Create(
                images_pb2.CreateImageRequest(image=record), metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise translated(error) from error
            with tolerated():
                answer = await self._connection.images.Update(
                    images_pb2.UpdateImageRequest(image=record), metadata=metadata
                )
        return await self._cached(answer.image)

    async def list(self) -> tuple[CachedImage, ...]:
        """See the protocol."""
        with tolerated():
            answer = await self._connection.images.List(
                images_pb2.ListImagesRequest(), metadata=self._connection.metadata
            )
        named = [image for image in answer.images if not image.name.startswith("sha256:")]
        return tuple([await self._cached(image) for image in sorted(named, key=lambda image: image.name)])

    async def resolve(self, ref: str) -> CachedImage | None:
        """See the protocol. A reference that ends in a digest is found by it."""
        name = ref.partition("@")[2] or ref
        try:
            answer = await self._connection.images.Get(
                images_pb2.GetImageRequest(name=name), metadata=self._connection.metadata
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise translated(error) from error
        return await self._cached(answer.image)

    async def _cached(self, image: Any) -> CachedImage:
        """Another tool's records lack our labels: then manifest and size are looked up."""
        chosen, size = image.labels.get(_PLATFORM_LABEL, ""), image.labels.get(_SIZE_LABEL, "")
        if not chosen or not size.isdigit():
            chosen, size = await self._measured(image.target)
        return CachedImage(
            ref=image.name,
            index_digest=image.target.digest,
            platform_digest=chosen,
            size_bytes=int(size),
            created_at_ns=image.created_at.ToNanoseconds(),
        )

    async def _measured(self, target: Any) -> tuple[str, str]:
        chosen = str(target.digest)
        if target.media_type in INDEX_TYPES:
            index = parse(await self._content.read(chosen), Index, "index")
            chosen = choose(index.manifests, self._architecture).digest
        manifest = parse(await self._content.read(chosen), Manifest, "manifest")
        return chosen, str(manifest.config.size + sum(layer.size for layer in manifest.layers))


async def _spooled(chunks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    try:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
        file.flush()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("the disk is full: the archive does not fit. Free space under the state directory") from error
        raise DriverError(f"the archive cannot be kept: {error.strerror}") from error
    file.seek(0)


async def _chunks(archive: ImageArchive, blob: Blob) -> AsyncIterator[bytes]:
    source = archive.chunks(blob)
    while (chunk := await asyncio.to_thread(next, source, b"")) != b"":
        yield chunk

"""Takes an archive in as it streams by: large members go straight into the content store, small ones are kept here."""

import posixpath
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from effects.errors import ImageUnreadable
from effects.images import oci
from effects.images.archive import Kept, Link
from effects.images.content import ContentStore
from effects.images.leases import Lease
from effects.images.protocol import Announced
from effects.images.room import Room
from effects.images.tarstream import Member, TarStream

SMALL_BYTES = 256 << 10
_KEPT_BYTES = 64 << 20
_MEMBER_BYTES = 512
_HEAD_BYTES = 4
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")


class Intake:
    """Reads one archive under a lease; what of it does not fit is not taken in. Raises ImageUnreadable, ImageCorrupt,
    NoSpace."""

    def __init__(self, content: ContentStore, room: Room, lease: Lease, announced: Sequence[Announced] = ()) -> None:
        self._content = content
        self._room = room
        self._lease = lease
        self._announced = {one.offset: one for one in announced}
        self._kept_bytes = 0

    async def members(self, chunks: AsyncIterator[bytes]) -> dict[str, Kept | Link]:
        """Every member, by normalised name."""
        holes = {one.offset: one.skipped for one in self._announced.values() if one.skipped}
        stream = TarStream(chunks, holes)
        members: dict[str, Kept | Link] = {}
        while (member := await stream.next()) is not None:
            self._keep(_MEMBER_BYTES + len(member.name) + len(member.target))
            name = posixpath.normpath(member.name)
            match member.kind:
                case "file":
                    members[name] = await self._file(stream, member, name)
                case "hardlink":
                    members[name] = Link(posixpath.normpath(member.target))
                case "symlink":
                    members[name] = Link(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.target)))
                case "other":
                    pass
        return members

    def _keep(self, size: int) -> None:
        """So many bytes more stay in memory until the archive has ended."""
        self._kept_bytes += size
        if self._kept_bytes > _KEPT_BYTES:
            raise ImageUnreadable("the archive has too many members to be one of images")

    async def _file(self, stream: TarStream, member: Member, name: str) -> Kept:
        if member.size <= SMALL_BYTES and member.offset not in self._announced:
            return await self._small(stream, member)
        head = bytearray()
        announced = self._announced.get(member.offset)

        async def source(offset: int) -> AsyncGenerator[bytes, None]:
            async for piece in stream.content(offset):
                promise.came(len(piece))
                if len(head) < _HEAD_BYTES and not offset:
                    head.extend(piece[:_HEAD_BYTES])
                yield piece

        named = _BLOB.fullmatch(name)
        digest = f"sha256:{named[1]}" if named else "" if announced is None else announced.digest
        held = await self._content.held(digest) if digest else 0
        with self._room.promised(max(0, member.size - held)) as promise:
            if digest:
                await self._content.put(digest, member.size, source, self._lease)
            else:
                digest = await self._content.put_unnamed(uuid.uuid4().hex, member.size, source, self._lease)
        if not head:
            head.extend(await self._content.head(digest, _HEAD_BYTES))
        return Kept(digest, member.size, bytes(head))

    async def _small(self, stream: TarStream, member: Member) -> Kept:
        self._keep(member.size)
        content = b"".join([piece async for piece in stream.content()])
        return Kept(oci.digest_of(content), member.size, content[:_HEAD_BYTES], content)

"""The simulated twin of the image cache: names and digests in memory."""

from collections.abc import AsyncIterator

import msgspec

from effects.errors import ImageUnreadable
from effects.images.protocol import CachedImage


class TwinImages:
    """See the protocol. An archive is a JSON object of names to digests; `digests` is what containers are made of."""

    def __init__(self, digests: set[str]) -> None:
        self._digests = digests
        self._names: dict[str, CachedImage] = {}

    def name(self, ref: str, digest: str, size_bytes: int = 1) -> CachedImage:
        """Give a digest a name."""
        self._digests.add(digest)
        self._names[ref] = CachedImage(ref, digest, digest, size_bytes)
        return self._names[ref]

    async def import_archive(self, chunks: AsyncIterator[bytes], name: str = "") -> tuple[CachedImage, ...]:
        """See the protocol."""
        content = b"".join([chunk async for chunk in chunks])
        try:
            names = msgspec.json.decode(content, type=dict[str, str])
        except msgspec.MsgspecError as error:
            raise ImageUnreadable(f"this is no image archive: {error}") from error
        if name and len(names) == 1:
            names = dict(zip((name,), names.values(), strict=True))
        return tuple(self.name(ref, digest, len(content)) for ref, digest in names.items())

    async def list(self) -> tuple[CachedImage, ...]:
        """See the protocol."""
        return tuple(self._names[ref] for ref in sorted(self._names))

    async def resolve(self, ref: str) -> CachedImage | None:
        """See the protocol."""
        return self._names.get(ref)

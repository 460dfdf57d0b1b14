"""What an image cache must do."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class CachedImage(msgspec.Struct, frozen=True):
    """A name in the cache and what it means: the digest of its index (or manifest) and of this machine's manifest."""

    ref: str
    index_digest: str
    platform_digest: str
    size_bytes: int
    created_at_ns: int = 0


class ImageStore(Protocol):
    """The machine's image cache."""

    async def import_archive(self, chunks: AsyncIterator[bytes], name: str = "") -> tuple[CachedImage, ...]:
        """Load an OCI or docker-save archive; all of its images or none. `name` names one that carries none.
        Raises ImageUnreadable, NoSpace."""
        ...

    async def list(self) -> tuple[CachedImage, ...]:
        """Every name in the cache."""
        ...

    async def resolve(self, ref: str) -> CachedImage | None:
        """What a normalised reference means now; None when it is not here."""
        ...

"""What an image cache must do."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec

from effects.images.naming import Naming
from journal.specs import ImagePin


class CachedImage(msgspec.Struct, frozen=True):
    """A record in the cache and what it means: the digest of its index (or manifest) and of this machine's manifest.

    `ref` is a name, or for what workloads may be pinned to, the index's digest itself.
    """

    ref: str
    index_digest: str
    platform_digest: str
    size_bytes: int
    created_at_ns: int = 0

    @property
    def is_name(self) -> bool:
        """Whether it is a name, rather than a digest that stands for itself."""
        return not self.ref.startswith("sha256:")

    @property
    def pin(self) -> ImagePin:
        """What a workload is pinned to that asks for this name."""
        return ImagePin(self.ref, self.index_digest, self.platform_digest)


class Announced(msgspec.Struct, frozen=True):
    """What a client says of an archive's member in advance: where its content begins in the archive, its digest, and
    how many of its first bytes are left out of the stream, because this machine has them."""

    offset: int
    digest: str
    skipped: int = 0


class Progress(msgspec.Struct):
    """How far a pull is, for people: counted on, never journaled. `done_bytes` are on this machine, `received_bytes` of
    them came over the network now; `unpacking` is 1 while a layer is being unpacked."""

    total_bytes: int = 0
    done_bytes: int = 0
    received_bytes: int = 0
    layers: int = 0
    unpacked: int = 0
    unpacking: int = 0


class ImageDetails(msgspec.Struct, frozen=True):
    """What is worth a look into the image itself. `built_at` as its builder wrote it (RFC 3339), or nothing."""

    unpacked_bytes: int
    built_at: str


Named = Callable[[tuple[CachedImage, ...]], None]
"""Called with names and what they mean from now on, before anybody else can change them."""


class ImageStore(Protocol):
    """The machine's image cache."""

    @property
    def naming(self) -> Naming:
        """The lock under which names change."""
        ...

    async def import_archive(
        self,
        chunks: AsyncIterator[bytes],
        name: str = "",
        announced: Sequence[Announced] = (),
        named: Named | None = None,
        *,
        vital: bool = False,
    ) -> tuple[CachedImage, ...]:
        """Load an OCI or docker-save archive; all of its images or none. `name` is for the one image of an archive,
        whatever that calls itself; several cannot have it. `vital`: it may have the disk's last room, and the machine's
        reserve. Raises ImageUnreadable, ImageCorrupt, WrongArchitecture,
        NoSpace, RuntimeUnavailable."""
        ...

    async def pull(
        self, pin: ImagePin, *, moves: bool, progress: Progress | None = None, named: Named | None = None
    ) -> tuple[CachedImage, ...]:
        """The image of a pin is here, fetched from its registry as far as it was not, and unpacked. `moves`: the pin's
        name means it from now on; else only its digest does. Raises DriverError."""
        ...

    async def observe(self) -> tuple[CachedImage, ...]:
        """Every record, names and digests."""
        ...

    def losses(self) -> AsyncIterator[None]:
        """Whenever another hand may have taken something out, and once at the beginning of each connection; own
        removals may be told of, too."""
        ...

    async def resolve(self, ref: str) -> CachedImage | None:
        """What a normalised reference means now; None when it is not here. A digest may be that of an index, or of this
        machine's manifest in one."""
        ...

    async def held(self, digests: Sequence[str]) -> dict[str, int]:
        """How many of each blob's first bytes are here."""
        ...

    async def details(self, image: CachedImage) -> ImageDetails:
        """A look into one image. Raises ImageMissing."""
        ...

    async def remove(self, records: Sequence[str]) -> int:
        """Forget records, by name or by digest; what nothing names any more is deleted. The bytes that this freed.
        The caller holds `naming`."""
        ...

    async def drop_partial(self) -> int:
        """Delete what interrupted pushes and pulls have left to be continued. The bytes that this freed."""
        ...

    async def sweep(self) -> None:
        """Remove what a daemon that died left half-unpacked. What this one unpacks stays: a push or pull does not wait
        for it, and one that failed is tried again."""
        ...

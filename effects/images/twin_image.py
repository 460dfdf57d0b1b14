"""Images as the twins of cache and registries know them."""

from typing import Literal

import msgspec

Damage = Literal["", "missing", "corrupt", "unreadable"]


class TwinLayer(msgspec.Struct, frozen=True):
    """A layer of `size` bytes. `damage`: it does not come at all, is not what its digest says, or is no layer."""

    digest: str
    size: int
    damage: Damage = ""


class TwinImage(msgspec.Struct, frozen=True):
    """An image. Its archive is this in JSON, a newline, and its layers' bytes."""

    names: tuple[str, ...]
    index_digest: str
    platform_digest: str
    layers: tuple[TwinLayer, ...] = ()
    architecture: str = "amd64"

    @property
    def size_bytes(self) -> int:
        """Its size as stored."""
        return sum(layer.size for layer in self.layers)

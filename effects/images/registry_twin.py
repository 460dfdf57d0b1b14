"""The simulated twin of all registries: what each reference means there, in memory."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Literal, assert_never

from effects.errors import ImageUnknown, RegistryDenied, RegistryUnreachable, RegistryUntrusted, WrongArchitecture
from effects.images.registry import Access
from effects.images.twin_image import TwinImage, TwinLayer
from journal.specs import ImagePin

Step = Callable[[str], Awaitable[None]]
Door = Literal["open", "down", "untrusted", "denied"]


async def _no_step(point: str) -> None:
    """Nothing happens between two steps."""


class Registries:
    """Outside the machine: `offered` by full name; what a name meant before can be had by its digest. `door`: whether
    they let this machine in. `cuts`: the next time this layer is fetched, it breaks off after so many bytes. `sent`
    counts the bytes of layers."""

    def __init__(self) -> None:
        self.door: Door = "open"
        self.offered: dict[str, TwinImage] = {}
        self._kept: dict[str, TwinImage] = {}
        self.cuts: dict[str, int] = {}
        self.sent = 0

    def offer(self, ref: str, image: TwinImage) -> None:
        """From now on the name means this image."""
        self.offered[ref] = self._kept[image.index_digest] = image

    def enter(self) -> None:
        """Raises what a registry's door is shut with."""
        match self.door:
            case "open":
                return
            case "down":
                raise RegistryUnreachable("the registry cannot be reached")
            case "untrusted":
                raise RegistryUntrusted("nobody this machine knows has signed the registry's certificate")
            case "denied":
                raise RegistryDenied("the registry lets nobody have that without credentials")
            case _:
                assert_never(self.door)

    def image(self, digest: str) -> TwinImage:
        """By its index's digest. Raises ImageUnknown."""
        if digest not in self._kept:
            raise ImageUnknown(f"the registry does not have {digest}")
        return self._kept[digest]


class TwinRegistry:
    """See the protocol; and layers for the twin of the cache."""

    def __init__(self, registries: Registries, step: Step) -> None:
        self.registries = registries
        self._step = step

    async def resolve(self, ref: str) -> ImagePin:
        """See the protocol."""
        await self._step("resolve")
        self.registries.enter()
        image = self.registries.offered.get(ref)
        if image is None:
            raise ImageUnknown(f"the registry does not have {ref}")
        if image.architecture != "amd64":
            raise WrongArchitecture(f"the image is for linux/{image.architecture}")
        return ImagePin(ref, image.index_digest, image.platform_digest)

    async def layer(self, layer: TwinLayer, offset: int) -> AsyncGenerator[int, None]:
        """How many bytes of a layer come at a time, from an offset on."""
        await self._step("fetch")
        self.registries.enter()
        if layer.damage == "missing":
            raise ImageUnknown(f"the registry does not have {layer.digest}")
        left = layer.size - offset
        comes = min(self.registries.cuts.pop(layer.digest, left), left)
        for size in (comes // 2, comes - comes // 2):
            self.registries.sent += size
            yield size
            await self._step("fetch")
        if comes < left:
            raise RegistryUnreachable("the registry has broken off")

    async def check(self, access: Access) -> None:
        """See the protocol."""
        await self._step("check")
        self.registries.enter()


NOWHERE = TwinRegistry(Registries(), _no_step)
"""A network without a registry that has anything."""

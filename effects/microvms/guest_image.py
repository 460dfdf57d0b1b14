"""Where the guest's own image is: what every microVM with an image boots. It is part of a release, and read only.

The operating system brings it; in a tree of sources `make guest-image` builds it, and where neither is, a maker does on
the first need.
"""

from collections.abc import Sequence
from pathlib import Path

from effects.errors import DriverLacks
from effects.microvms.guest_maker import HOUSE, MANIFEST, GuestMaker
from effects.microvms.protocol import GuestImage

_KERNEL, _INITRD, _ROOT = "vmlinux", "initrd", "root.squashfs"
SHIPPED = Path("/capsule/guest")
BUILT = HOUSE / "build" / "guest"


class GuestFiles:
    """The first of these places with a whole one: its manifest is written last. `maker` makes one where none has it."""

    def __init__(self, places: Sequence[Path] = (SHIPPED, BUILT), maker: GuestMaker | None = None) -> None:
        self._places = tuple(places)
        self._maker = maker

    @property
    def waits(self) -> bool:
        """Whether it is still to be made."""
        return self._found() is None and self._maker is not None and not (self._maker.place / MANIFEST).exists()

    def lacks(self) -> str:
        """Why there is none, and none will be made; empty where there is one, or can be."""
        if self._found() is not None or (self._maker is not None and not self.waits):
            return ""
        why = self._maker.lacks() if self._maker is not None else "nobody makes it"
        if not why:
            return ""
        return (
            f"the image that microVMs boot is in none of {', '.join(map(str, self._places))}, and {why}; `make "
            "guest-image` in capsule's sources makes one, too. Then start capsuled again"
        )

    async def find(self) -> GuestImage:
        """See GuestSource."""
        found = self._found()
        if found is None:
            if self._maker is None:
                raise DriverLacks(self.lacks())
            found = await self._maker.made()
        return GuestImage(found / _KERNEL, found / _INITRD, found / _ROOT)

    def _found(self) -> Path | None:
        return next((place for place in self._places if (place / MANIFEST).exists()), None)

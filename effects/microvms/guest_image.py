"""Where the guest's own image is: what every microVM with an image boots. It is part of a release, and read only.

The operating system brings it; in a tree of sources `make guest-image` builds it.
"""

from collections.abc import Sequence
from pathlib import Path

from effects.errors import DriverLacks
from effects.microvms.protocol import GuestImage

_KERNEL, _INITRD, _ROOT, _MANIFEST = "vmlinux", "initrd", "root.squashfs", "manifest"
SHIPPED = Path("/capsule/guest")
BUILT = Path(__file__).resolve().parent.parent.parent / "build" / "guest"


class GuestFiles:
    """The first of these places that has a whole one: its manifest is written last."""

    def __init__(self, places: Sequence[Path] = (SHIPPED, BUILT)) -> None:
        self._places = tuple(places)

    async def find(self) -> GuestImage:
        """See GuestSource."""
        found = next((place for place in self._places if (place / _MANIFEST).exists()), None)
        if found is None:
            raise DriverLacks(
                f"the image that microVMs boot is in none of {', '.join(map(str, self._places))}: `make guest-image` "
                "in capsule's sources builds it"
            )
        return GuestImage(found / _KERNEL, found / _INITRD, found / _ROOT)

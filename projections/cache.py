"""Reports of the image cache become observations: what it holds and the journal does not know, and the other way round.

Pure. Only differences are said.
"""

import msgspec

from journal.events import ImageFound, ImageLost, PushedImage
from journal.specs import ImagePin
from projections.state import Machine


class SeenImage(msgspec.Struct, frozen=True):
    """One record of the cache. `ref` is empty for one that stands under its digest."""

    ref: str
    index_digest: str
    platform_digest: str
    size_bytes: int


def observe_images(machine: Machine, seen: tuple[SeenImage, ...]) -> tuple[ImageFound | ImageLost, ...]:
    """The differences between the state and everything the cache shows."""
    names = {one.ref: one for one in seen if one.ref}
    digests = {one.index_digest: one for one in seen if not one.ref}
    # Also one whose image is known to be gone: a start that missed it told of the image alone.
    lost_names = tuple(ref for ref in sorted(machine.images) if ref not in names)
    lost_digests = tuple(digest for digest in sorted(machine.cached) if digest not in digests)
    found = [one for _, one in sorted(names.items()) if _is_news(machine, one)]
    found += [one for digest, one in sorted(digests.items()) if digest not in machine.cached]
    events: list[ImageFound | ImageLost] = []
    if lost_names or lost_digests:
        events.append(ImageLost(lost_names, lost_digests))
    if found:
        events.append(ImageFound(tuple(_pushed(one) for one in found)))
    return tuple(events)


def _is_news(machine: Machine, seen: SeenImage) -> bool:
    known = machine.images.get(seen.ref)
    return known is None or known.pin.index_digest != seen.index_digest


def _pushed(seen: SeenImage) -> PushedImage:
    return PushedImage(ImagePin(seen.ref, seen.index_digest, seen.platform_digest), seen.size_bytes)

"""Reaching the goal of an image: it is fetched, and the moment it has its names the journal says so."""

from msgspec.structs import replace

from effects.errors import DriverError
from effects.goals import EnsureImage
from effects.images.protocol import CachedImage, ImageStore, Progress
from effects.recorder import Recorder
from journal.events import ImageLost, ImagePulled, PushedImage

Pulls = dict[str, Progress]
"""The pulls under way, by workload: how far they are."""


def pulled(images: tuple[CachedImage, ...], progress: Progress) -> ImagePulled:
    """What a pull that is done is to the journal."""
    found = [PushedImage(image.pin, image.size_bytes) for image in images if image.is_name]
    if not found:
        found = [PushedImage(replace(image.pin, ref=""), image.size_bytes) for image in images[:1]]
    return ImagePulled(tuple(found), progress.received_bytes)


class ImageActions:
    """Acts through the image cache."""

    def __init__(self, recorder: Recorder, store: ImageStore, pulls: Pulls) -> None:
        self._recorder = recorder
        self._store = store
        self._pulls = pulls
        self._named: set[str] = set()

    def may_be_left(self, goal: EnsureImage) -> bool:
        """Whether the goal is still being worked for: once the image has its names, only tidying up is left."""
        return goal.name not in self._named

    async def ensure(self, goal: EnsureImage, started: int) -> None:
        """Fetch. Raises DriverError, with what to do about it."""
        progress = self._pulls[goal.name] = Progress()

        def named(images: tuple[CachedImage, ...]) -> None:
            self._named.add(goal.name)
            self._recorder.record((pulled(images, progress),), cause=started, vital=True)

        try:
            await self._store.pull(goal.pin, moves=goal.moves, progress=progress, named=named)
        except DriverError as error:
            error.message = f"{goal.pin.ref} is not on this machine, and cannot be fetched: {error.message}"
            raise
        finally:
            self._pulls.pop(goal.name, None)
            self._named.discard(goal.name)

    def lost(self, index_digest: str, started: int) -> None:
        """A start found the image gone behind the journal's back: from now on it is known, and will be fetched."""
        if index_digest in self._recorder.machine.cached:
            self._recorder.record((ImageLost(digests=(index_digest,)),), cause=started, vital=True)

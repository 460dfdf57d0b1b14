"""Images as microVMs use them: their disks, their configs, and the users that they know."""

from pathlib import Path

from effects.containerd.connection import Connection
from effects.containerd.passing import Passing
from effects.containerd.snapshots import directories_of
from effects.images.leases import Leases
from effects.images.rootfs import RootFsSource
from effects.images.views import Views
from effects.microvms.protocol import Payload
from effects.payloads.protocol import PayloadDisks
from effects.runs.process import Identity
from effects.runs.users import resolve

_VIEW = "accounts-"


class PayloadImages:
    """See PayloadSource."""

    def __init__(self, connection: Connection, images: RootFsSource, leases: Leases, disks: PayloadDisks) -> None:
        self._images = images
        self._views = Views(connection, images, leases, Passing(connection, _VIEW))
        self._disks = disks

    async def payload(self, digest: str) -> Payload:
        """See PayloadSource."""
        disk = await self._disks.ensure(digest)
        root = await self._images.rootfs(digest)
        return Payload(Path(disk), root.config)

    async def identity(self, digest: str, user: str) -> Identity:
        """See PayloadSource. The layers' files are looked at where they lie, while a view keeps them there."""
        if not user:
            return Identity()
        async with self._views.of(digest) as mounts:
            return resolve(user, directories_of(mounts))

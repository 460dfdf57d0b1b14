"""How full volumes are, all of them asked at once: a guest that hangs costs the figures of its own volumes, and whoever
asks waits no longer for many such than for one."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from effects.errors import DriverError
from effects.volumes.protocol import VolumeDriver
from projections.state import Volume
from projections.storage import Fill


class Fills(NamedTuple):
    """By the volumes' names. `missing`: why there is no figure where there should be one; one that nobody can say
    anything of now, since nobody has it open, is in neither."""

    known: dict[str, Fill]
    missing: dict[str, str]

    def lacking(self) -> str:
        """Which are missing, and why; empty when none is."""
        return "; ".join(f"volume {name}: {why}" for name, why in self.missing.items())


async def fills_of(driver: VolumeDriver, volumes: Iterable[Volume]) -> Fills:
    """Those of all that somebody holds."""
    held = [volume for volume in volumes if volume.holder]
    found = Fills({}, {})
    for volume, said in zip(held, await asyncio.gather(*(_said(driver, one) for one in held)), strict=True):
        if isinstance(said, Fill):
            found.known[volume.name] = said
        elif said is not None:
            found.missing[volume.name] = said
    return found


async def _said(driver: VolumeDriver, volume: Volume) -> Fill | str | None:
    """The figure, or why it is missing."""
    try:
        return await driver.usage(volume.name, volume.uid)
    except (DriverError, OSError) as error:
        return str(error)

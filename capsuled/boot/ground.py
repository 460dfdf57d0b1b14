"""What the boot leaves for the daemon to stand on. Free of the daemon's own modules, which are loaded meanwhile."""

from pathlib import Path

import msgspec

from capsuled.boot.link import InitLink
from capsuled.boot.stages import Stages
from capsuled.boot.storage import Mounted
from capsuled.evidence.keeping import Keeper

RELEASE_FILE = Path("/capsule/release")
"""Release and commit; its time is when that was built (image/house.py)."""


def built_s() -> float:
    """When this release was built, in seconds since the epoch; infinity where nobody knows."""
    try:
        return RELEASE_FILE.stat().st_mtime
    except OSError:
        return float("inf")


class Booted(msgspec.Struct, frozen=True):
    """What the boot loader said on the kernel's command line. `update`: the one whose system is tried, 0 for none; it
    may run for `window_s` since the kernel began before it is confirmed."""

    slot: str
    default_slot: str = ""
    update: int = 0
    window_s: int = 0


class Ground(msgspec.Struct, frozen=True):
    """What `booted`, from the partition `root`; `mounted` is what the storage said; `release` the release and commit,
    as they were built. `keeper` keeps what a tentative boot leaves for the next one; None in any other. `notes`: what
    the operator should know of what he wrote."""

    link: InitLink
    stages: Stages
    booted: Booted
    root: str
    mounted: Mounted
    release: str
    keeper: Keeper | None = None
    notes: tuple[str, ...] = ()

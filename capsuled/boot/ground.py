"""What the boot leaves for the daemon to stand on. Free of the daemon's own modules, which are loaded meanwhile."""

import msgspec

from capsuled.boot.link import InitLink
from capsuled.boot.stages import Stages
from capsuled.boot.storage import Mounted
from capsuled.evidence.keeping import Keeper


class Ground(msgspec.Struct, frozen=True):
    """`slot` booted, from the partition `root`; `mounted` is what the storage said; `release` the release and commit,
    as they were built. `keeper` keeps what a tentative boot leaves for the next one; None in any other."""

    link: InitLink
    stages: Stages
    slot: str
    root: str
    mounted: Mounted
    release: str
    keeper: Keeper | None = None

"""What it takes to look at a run's health."""

from typing import Protocol

import msgspec

from journal.specs import HealthCheck, Kind
from projections.health import Finding


class Target(msgspec.Struct, frozen=True):
    """A run to look at. `address` is where its ports answer."""

    name: str
    uid: int
    run: int
    check: HealthCheck
    address: str
    kind: Kind = "container"


class Prober(Protocol):
    """Looks once. Whoever calls says how long a look may take, by cancelling it: then nothing of it is left."""

    async def look(self, target: Target) -> Finding | None:
        """What it found. None where nothing can be said: the run is over, the runtime does not answer, or its guest
        carries no further process just now."""
        ...

"""The simulated twin of the prober: a world says of each run whether it is well."""

from collections.abc import Callable

from effects.errors import RuntimeUnavailable
from effects.health.protocol import Target
from effects.runs.twin import Key, Step, World
from projections.health import Failure, Finding


class TwinProber:
    """A prober on a world. `is_well` is asked once a look. See the protocol."""

    def __init__(self, world: World, step: Step, is_well: Callable[[Key], bool]) -> None:
        self._world = world
        self._step = step
        self._is_well = is_well

    async def look(self, target: Target) -> Finding | None:
        """See the protocol."""
        try:
            await self._step("probe")
        except RuntimeUnavailable:
            return None
        key = (target.name, target.uid, target.run)
        container = self._world.containers.get(key)
        if container is None or container.status != "running":
            return None
        return Finding() if self._is_well(key) else Finding(Failure.EXITED, code=3)

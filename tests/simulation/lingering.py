"""Judges that what was deleted goes soon, and not only in the end: whoever waits for the room that it takes sees it."""

from collections.abc import Iterable

from effects.volumes.twin import Storage
from tests.simulation.oracle import Oracle

SOON_S = 75.0
"""Longer than what failed however often waits, and than whoever uses it takes to end."""


class Lingering:
    """Looks now and then, while nothing fails."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], float] = {}

    def look(self, storage: Storage, oracle: Oracle, now_s: float) -> list[str]:
        """Volumes that nobody has wanted for too long. Of a name about which somebody just asks nothing is known."""
        unwanted: Iterable[tuple[str, int]] = (
            key for key in storage.volumes if key[0] not in oracle.disks and key[0] not in oracle.open_calls
        )
        self._since = {key: self._since.get(key, now_s) for key in unwanted}
        late = [key for key, since in self._since.items() if now_s - since > SOON_S]
        return [f"volume {name}.{uid} was deleted {SOON_S:.0f} s ago, and is there" for name, uid in late]

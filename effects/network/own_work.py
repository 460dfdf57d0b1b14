"""When the driver is at work itself: the kernel tells of its changes as of anybody's, and a look beside it slows it.

So whoever follows the kernel's news lets them rest first. Not for ever: where there is always something to do, another
hand's change must be found all the same.
"""

import asyncio
from types import TracebackType

REST_S = 1.0
"""So long nothing was changed: what had to be done for a workload is done, and its program starts in peace."""
LATE_S = 5.0
"""So long a look is put off at most."""


class OwnWork:
    """Entered by each piece of work."""

    def __init__(self, rest_s: float = REST_S, late_s: float = LATE_S) -> None:
        self._rest_s = rest_s
        self._late_s = late_s
        self._under_way = 0
        self._ended_s = float("-inf")

    def __enter__(self) -> None:
        self._under_way += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way -= 1
        self._ended_s = asyncio.get_running_loop().time()

    async def rested(self) -> None:
        """Return once there is none, and has been none for a while; at once if so it is."""
        loop = asyncio.get_running_loop()
        late_s = loop.time() + self._late_s
        while (left_s := min(self._over_s(loop.time()), late_s) - loop.time()) > 0:  # noqa: ASYNC110 -- time is what is waited for
            await asyncio.sleep(left_s)

    def _over_s(self, now_s: float) -> float:
        return (now_s if self._under_way else self._ended_s) + self._rest_s
